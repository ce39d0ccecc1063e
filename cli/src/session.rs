//! Recording what a policy asks of its host, and replaying it: kwctl's
//! `--record-host-capabilities-interactions` and `--replay-host-capabilities-interactions`, with the same files.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::capabilities::{Answer, HostRequest, lock};

/// Why a session file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It cannot be read or written.
    #[error("cannot use the session file {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not a session. Only the place is told: the text that is there may be the value of a Secret.
    #[error("not a session of host capabilities{}", place(.0))]
    Form(#[from] serde_norway::Error),
    /// One of its requests is not one that this host knows.
    #[error("request {number} of the session: {source}")]
    Request {
        /// The exchange, counted from 1.
        number: usize,
        /// Why not.
        source: serde_norway::Error,
    },
}

fn place(error: &serde_norway::Error) -> String {
    let place = error.location();
    place.map_or_else(String::new, |place| {
        format!(", at line {} column {}", place.line(), place.column())
    })
}

/// One request and its response. The request is YAML text within the YAML.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
struct Exchange {
    request: String,
    response: Response,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Response {
    Success { payload: String },
    Error { message: String },
}

/// Answers with the answers of another, and writes down both sides.
#[derive(Debug)]
pub struct Recorder<A> {
    inner: A,
    exchanges: Mutex<Vec<(HostRequest, Result<String, String>)>>,
}

impl<A: Answer> Recorder<A> {
    /// Records what `inner` answers.
    pub fn new(inner: A) -> Self {
        Self {
            inner,
            exchanges: Mutex::default(),
        }
    }

    /// The session so far, as kwctl writes it.
    pub fn to_yaml(&self) -> Result<String, SessionError> {
        let exchanges = lock(&self.exchanges)
            .iter()
            .map(|(request, answer)| {
                Ok(Exchange {
                    request: serde_norway::to_string(request)?,
                    response: match answer.clone() {
                        Ok(payload) => Response::Success { payload },
                        Err(message) => Response::Error { message },
                    },
                })
            })
            .collect::<Result<Vec<_>, SessionError>>()?;
        Ok(serde_norway::to_string(&exchanges)?)
    }

    /// Writes the session so far to a file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SessionError> {
        let path = path.as_ref();
        fs::write(path, self.to_yaml()?).map_err(|source| SessionError::File {
            path: path.to_owned(),
            source,
        })
    }
}

impl<A: Answer> Answer for Recorder<A> {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        let answer = self.inner.answer(request);
        lock(&self.exchanges).push((request.clone(), answer.clone()));
        answer
    }
}

/// Answers from a session: its exchanges one after another, each for the very request that was recorded.
#[derive(Debug)]
pub struct Replay {
    exchanges: Mutex<VecDeque<(HostRequest, Response)>>,
}

impl Replay {
    /// The session of a file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SessionError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| SessionError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::from_yaml(&text)
    }

    /// The session of a text.
    pub fn from_yaml(text: &str) -> Result<Self, SessionError> {
        let exchanges: Vec<Exchange> = serde_norway::from_str(text)?;
        let exchanges = exchanges.into_iter().enumerate().map(|(index, exchange)| {
            let request = serde_norway::from_str(&exchange.request).map_err(|source| SessionError::Request {
                number: index + 1,
                source,
            })?;
            Ok((request, exchange.response))
        });
        Ok(Self {
            exchanges: Mutex::new(exchanges.collect::<Result<_, SessionError>>()?),
        })
    }

    /// How many exchanges have not been asked for.
    pub fn remaining(&self) -> usize {
        lock(&self.exchanges).len()
    }
}

impl Answer for Replay {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        let Some((expected, response)) = lock(&self.exchanges).pop_front() else {
            return Err("the list of recorded responses is empty".to_owned());
        };
        if expected != *request {
            return Err(format!(
                "Replay error: unexpected request. Was expecting {expected:?}, got {request:?} instead"
            ));
        }
        match response {
            Response::Success { payload } => Ok(payload),
            Response::Error { message } => Err(message),
        }
    }
}
