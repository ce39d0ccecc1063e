//! Shows what the policy does to a Pod, without a cluster.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use e2e_tests::{
    capabilities::{Answer, Grants, Host},
    cluster::Cluster,
    flyte_config::{self, FlyteVersion},
    host::{Evaluation, PolicyModule},
    render::{self, Color},
    requests, resolver,
    review::Review,
    session::{Recorder, Replay},
    settings, yaml,
};
use serde_json::{Value, json};

/// Shows what the policy does to a Pod, without a cluster.
///
/// Exits with 1 when the Pod is rejected or the settings are invalid.
#[derive(Parser)]
#[command(
    name = "preview",
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    preview: Option<Preview>,
}

#[derive(Args)]
struct Preview {
    /// A Pod, an AdmissionReview or an admission request, in YAML or JSON; `-` is standard input
    pod: PathBuf,
    /// The policy's settings, or a ClusterAdmissionPolicy that has them
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The cluster: Kubernetes objects in one YAML file
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// What the policy is granted: its metadata.yml, or a ClusterAdmissionPolicy [default: metadata.yml, if there]
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// The policy
    #[arg(long, value_name = "FILE", default_value = "policy.wasm")]
    policy: PathBuf,
    /// Who creates the Pod; not for an AdmissionReview
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// A group of that user; may be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// Writes what the policy asks of the cluster to a session file of kwctl's format
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Answers from a session file instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    replay: Option<PathBuf>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Diff)]
    output: Output,
    /// Colours in the diff
    #[arg(long, value_enum, default_value_t = When::Auto)]
    color: When,
}

#[derive(Subcommand)]
enum Command {
    /// Turns readable requests into Flyte's annotations
    Encode {
        /// A list of requests in YAML or JSON, with the fields group, groupVersion, key, mountRequirement and envVar
        #[arg(default_value = "-")]
        requests: PathBuf,
    },
    /// Turns Flyte's annotations into readable requests
    Decode {
        /// A Pod's file, `-` for standard input, or the values of annotations
        #[arg(required = true)]
        inputs: Vec<String>,
    },
    /// Shows what a container finds: its variables, command and mounts, in JSON; volumes become directories
    ///
    /// The Pod is taken as it is: `preview POD --settings FILE --output yaml | preview resolve - …` resolves one as admitted.
    Resolve {
        /// The Pod, as it was admitted, in YAML or JSON; `-` is standard input
        pod: PathBuf,
        /// The container, or init container
        #[arg(long, value_name = "NAME")]
        container: String,
        /// The cluster: Kubernetes objects in one YAML file
        #[arg(long, value_name = "FILE")]
        cluster: Option<PathBuf>,
        /// Where the volumes are written, as DIRECTORY/volumes/NAME; an emptyDir that is there keeps its files
        #[arg(long, value_name = "DIRECTORY")]
        root: PathBuf,
    },
    /// Turns the configuration of Flyte's webhook into the policy's settings, with notes on what they do not say
    SettingsFromFlyte {
        /// Flyte's configuration with the sections webhook and secrets, in YAML or JSON, or the ConfigMap that holds it
        #[arg(default_value = "-")]
        config: PathBuf,
        /// Whose defaults apply [default: guessed from the fields, or else 2]
        #[arg(long, value_enum, value_name = "VERSION")]
        flyte_version: Option<Version>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The difference, the warnings and the secrets
    Diff,
    /// The Pod as admitted
    Yaml,
    /// The Pod as admitted
    Json,
    /// The JSON patch
    Patch,
    /// The AdmissionReview with the response
    Review,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl When {
    fn on(self, terminal: bool) -> Color {
        let on = match self {
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            Self::Always => true,
            Self::Never => false,
        };
        if on { Color::On } else { Color::Off }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match (cli.command, cli.preview) {
        (Some(Command::Encode { requests }), _) => encode(&requests),
        (Some(Command::Decode { inputs }), _) => decode(&inputs),
        (
            Some(Command::Resolve {
                pod,
                container,
                cluster,
                root,
            }),
            _,
        ) => resolve(&pod, &container, cluster.as_deref(), &root),
        (Some(Command::SettingsFromFlyte { config, flyte_version }), _) => settings_from_flyte(&config, flyte_version),
        (None, Some(preview)) => preview.run(),
        (None, None) => unreachable!("clap asks for one of them"),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

impl Preview {
    fn run(&self) -> Result<ExitCode> {
        let review = self.review()?;
        let settings = match &self.settings {
            Some(path) => settings::from_file(path)?,
            None => json!({}),
        };
        let recorder = Arc::new(Recorder::new(self.answers()?));
        let host = Host::new(Arc::clone(&recorder), self.grants()?);
        let policy = PolicyModule::from_file(&self.policy)?;

        let validity = policy.validate_settings(&host, &settings)?;
        if !validity.valid {
            bail!("invalid settings: {}", validity.message.unwrap_or_default());
        }
        let evaluation = policy.validate(&host, &review.request, &settings);
        if let Some(path) = &self.record {
            recorder.save(path)?;
        }
        self.print(&review, &evaluation)
    }

    fn review(&self) -> Result<Review> {
        let mut review = Review::from_text(&read(&self.pod)?)?;
        if let Some(user) = &self.user {
            review.request.user_info = json!({"username": user, "groups": self.groups});
        }
        Ok(review)
    }

    fn answers(&self) -> Result<Box<dyn Answer>> {
        Ok(match (&self.replay, &self.cluster) {
            (Some(session), _) => Box::new(Replay::from_file(session)?),
            (None, Some(cluster)) => Box::new(Cluster::from_file(cluster)?),
            (None, None) => Box::new(Cluster::default()),
        })
    }

    fn grants(&self) -> Result<Grants> {
        let default = Path::new("metadata.yml");
        Ok(match &self.metadata {
            Some(path) => Grants::from_metadata_file(path)?,
            None if default.exists() => Grants::from_metadata_file(default)?,
            None => Grants::none(),
        })
    }

    fn print(&self, review: &Review, evaluation: &Evaluation) -> Result<ExitCode> {
        let response = &evaluation.response;
        if self.output == Output::Review {
            println!("{}", serde_json::to_string_pretty(&response.to_review())?);
        }
        if !response.allowed {
            let color = self.color.on(io::stderr().is_terminal());
            eprintln!("{}", render::rejection(response.message(), response.code(), color));
            return Ok(ExitCode::FAILURE);
        }
        let before = review.request.object.clone().unwrap_or(Value::Null);
        let after = response.patched(&before)?;
        match self.output {
            Output::Review => {}
            Output::Yaml => print!("{}", yaml::to_text(&after, review.source.as_ref())?),
            Output::Json => println!("{}", serde_json::to_string_pretty(&after)?),
            Output::Patch => println!("{}", serde_json::to_string_pretty(&response.json_patch())?),
            Output::Diff => {
                let color = self.color.on(io::stdout().is_terminal());
                let diff = render::diff(&before, &after, review.source.as_ref(), color)?;
                let warnings = render::warnings(response.warnings.as_deref().unwrap_or_default(), color);
                let table = render::table(&injected(evaluation), color);
                let parts = [diff, warnings, table];
                let parts: Vec<&str> = parts
                    .iter()
                    .map(String::as_str)
                    .filter(|part| !part.is_empty())
                    .collect();
                match parts.is_empty() {
                    true => println!("accepted unchanged"),
                    false => print!("{}", parts.join("\n")),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn injected(evaluation: &Evaluation) -> Vec<render::Injected> {
    let annotations = evaluation.response.audit_annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(render::INJECTED))
        .map(|annotation| render::injected(annotation))
        .unwrap_or_default()
}

fn encode(path: &Path) -> Result<ExitCode> {
    print!("{}", requests::manifest(&requests::from_text(&read(path)?)?));
    Ok(ExitCode::SUCCESS)
}

fn decode(inputs: &[String]) -> Result<ExitCode> {
    let mut decoded = Vec::new();
    for input in inputs {
        if input != "-" && !Path::new(input).exists() {
            decoded.push(requests::decode(input, input)?);
            continue;
        }
        let review = Review::from_text(&read(Path::new(input))?)?;
        for (key, value) in requests::annotations(&review.request.object.unwrap_or_default()) {
            decoded.push(requests::decode(&key, &value)?);
        }
    }
    print!("{}", yaml::to_text(&json!(decoded), None)?);
    Ok(ExitCode::SUCCESS)
}

fn resolve(pod: &Path, container: &str, cluster: Option<&Path>, root: &Path) -> Result<ExitCode> {
    let review = Review::from_text(&read(pod)?)?;
    let cluster = cluster.map(Cluster::from_file).transpose()?.unwrap_or_default();
    let pod = review.request.object.unwrap_or_default();
    let resolved = resolver::resolve(&pod, container, &cluster, root)?;
    println!("{}", serde_json::to_string_pretty(&resolved)?);
    Ok(ExitCode::SUCCESS)
}

fn settings_from_flyte(path: &Path, version: Option<Version>) -> Result<ExitCode> {
    let version = version.map(|version| match version {
        Version::One => FlyteVersion::V1,
        Version::Two => FlyteVersion::V2,
    });
    print!("{}", flyte_config::from_text(&read(path)?, version)?.to_yaml()?);
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin().lock()).context("cannot read standard input");
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
