//! How the cost of a request grows: time and answer against containers × secrets, as a table.
//!
//! `make growth`; `cargo run --profile bench -p e2e-tests --bin growth MANAGER` takes another manager than `kubernetes`.
//! The times are the guest's alone, the best of five.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::modules;
use e2e_tests::review::Review;
use serde_json::{Value, json};

const COUNTS: [usize; 5] = [1, 10, 100, 500, 1000];
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let manager = std::env::args().nth(1).unwrap_or_else(|| "kubernetes".to_owned());
    let policy = PolicyModule::from_file(modules::policy()).context("run make policy.wasm first")?;
    let host = Host::new(Cluster::from_yaml("")?, Grants::none());
    println!("| containers | secrets | request KiB | answer KiB | time ms | µs per container and secret | outcome |");
    println!("|--:|--:|--:|--:|--:|--:|---|");
    for containers in COUNTS {
        for secrets in COUNTS {
            let review = Review::of_pod(pod(containers, secrets));
            let payload = serde_json::to_vec(&json!({
                "request": review.request,
                "settings": {"managers": [{"type": manager}]},
            }))?;
            let (time, answer) = evaluate(&policy, &host, &payload)?;
            let answer = answer.unwrap_or_else(|error| error.to_string().into_bytes());
            println!(
                "| {containers} | {secrets} | {} | {} | {:.2} | {:.2} | {} |",
                payload.len() / 1024,
                answer.len() / 1024,
                time.as_secs_f64() * 1e3,
                time.as_secs_f64() * 1e6 / (containers * secrets) as f64,
                outcome(&answer)
            );
        }
    }
    Ok(())
}

type Answer = Result<Vec<u8>, e2e_tests::host::HostError>;

fn evaluate(policy: &PolicyModule, host: &Host, payload: &[u8]) -> Result<(Duration, Answer)> {
    let mut best = None;
    for _ in 0..ROUNDS {
        let instance = policy.instantiate(host)?;
        let start = Instant::now();
        let answer = instance.call("validate", payload);
        let time = start.elapsed();
        if best.as_ref().is_none_or(|(known, _)| time < *known) {
            best = Some((time, answer));
        }
    }
    best.context("no rounds")
}

fn outcome(answer: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return String::from_utf8_lossy(answer).into_owned();
    };
    match answer["accepted"].as_bool() {
        Some(true) => "mutated".to_owned(),
        _ => format!("refused, {}", answer["code"]),
    }
}

/// A Pod whose every container gets every secret, half of them as variables.
fn pod(containers: usize, secrets: usize) -> Value {
    let containers: Vec<Value> = (0..containers)
        .map(|number| json!({"name": format!("c{number}"), "image": "busybox"}))
        .collect();
    let requests: Vec<Value> = (0..secrets)
        .map(|number| {
            let mount = if number % 2 == 0 { "ENV_VAR" } else { "FILE" };
            json!({"group": format!("db{}", number / 10), "key": format!("key{number}"), "mountRequirement": mount})
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "annotations": {"secret-injector/requests": json!(requests).to_string()}},
        "spec": {"containers": containers},
    })
}
