//! How large a policy server has to be, from what the benchmark measured: the tables of `docs/how-to/size.md`.
//!
//! An evaluation is not all that a policy server does for a Pod: TLS, HTTP, reading the review, logs and metrics come on
//! top, and cores are shared. So a core is planned with a [`SHARE`] of the evaluations that it could make.

use super::{CaseResult, POLICY, Report, kibibytes, table};

/// The part of a core's time that is planned for evaluations.
const SHARE: f64 = 0.25;
/// `limits.cpu` of `deploy/base/policy-server.yaml`, in cores: as many evaluations run in a replica at a time.
const CORES: f64 = 2.0;
/// The workers of a replica whose policy asks the cluster, as `docs/how-to/size.md` proposes them.
const MANY: f64 = 32.0;
/// The Pod that replicas are counted for: more secrets than most Pods ask for.
const PLANNED: &str = "flyte-10";
/// The Pods a second that replicas are counted for.
const RATES: [f64; 4] = [10.0, 100.0, 1000.0, 5000.0];

/// The tables.
pub(super) fn to_markdown(report: &Report) -> String {
    let run = &report.run;
    let mut text = format!("{}, on {}.\n\n### What a Pod costs\n\n", run.date, run.machine);
    text.push_str(&costs(&run.cases));
    text.push_str(&memory(&run.cases));
    if let Some(case) = run.cases.iter().find(|case| case.name == PLANNED) {
        text.push_str("\n### How many replicas\n\n");
        text.push_str(&format!("For Pods with {}:\n\n", case.about));
        text.push_str(&replicas(case.whole[POLICY]));
    }
    text
}

fn costs(cases: &[CaseResult]) -> String {
    let header = [
        "Pod",
        "evaluation, ms",
        "evaluations/s of a core",
        "planned Pods/s of a core",
        "memory, MiB",
    ]
    .map(str::to_owned);
    let rows = cases.iter().map(|case| {
        let time = case.whole[POLICY];
        vec![
            case.about.clone(),
            format!("{:.2}", time / 1e6),
            rounded(a_second(time)),
            rounded(a_second(time) * SHARE),
            format!("{:.1}", mebibytes(case.peak_memory[POLICY])),
        ]
    });
    table(&header, 1, rows)
}

/// What evaluations take that run at the same time, all of the Pod that needs most.
fn memory(cases: &[CaseResult]) -> String {
    let largest = cases.iter().map(|case| case.peak_memory[POLICY]).max().unwrap_or(0);
    let of_workers = |workers: f64| (mebibytes(largest) * workers).ceil();
    format!(
        "\nThe modules of a replica take at most {} MiB with {CORES} workers, {} MiB with {MANY}.\n",
        of_workers(CORES),
        of_workers(MANY)
    )
}

fn mebibytes(bytes: usize) -> f64 {
    kibibytes(bytes) / 1024.0
}

fn replicas(time: f64) -> String {
    let header = ["Pods/s", "cores", "`replicas`", "`requests.cpu` of each"].map(str::to_owned);
    let rows = RATES.into_iter().map(|rate| {
        let plan = Plan::of(rate, time);
        vec![
            format!("{rate}"),
            format!("{:.2}", plan.cores),
            format!("{}", plan.replicas),
            format!("{}m", plan.millicores),
        ]
    });
    table(&header, 1, rows)
}

/// What a number of Pods a second needs.
#[derive(Debug, PartialEq)]
struct Plan {
    /// The cores that are busy with them.
    cores: f64,
    /// So many replicas that one of them may be away.
    replicas: f64,
    /// The CPU that each replica asks for, so that the others carry the load of the one that is away.
    millicores: f64,
}

impl Plan {
    /// For `rate` Pods a second whose evaluation takes `time` nanoseconds.
    fn of(rate: f64, time: f64) -> Self {
        let cores = rate / (a_second(time) * SHARE);
        let serving = (cores / CORES).ceil().max(1.0);
        Self {
            cores,
            replicas: serving + 1.0,
            // Steps of 50m; less than 100m would make a replica slow to start.
            millicores: ((cores / serving * 20.0).ceil() * 50.0).max(100.0),
        }
    }
}

/// How often something that takes `time` nanoseconds can be done in a second.
fn a_second(time: f64) -> f64 {
    1e9 / time
}

/// Two digits that count: more would claim a precision that a plan does not have.
fn rounded(number: f64) -> String {
    let step = 10_f64.powf((number.max(1.0).log10().floor() - 1.0).max(0.0));
    format!("{}", (number / step).floor() * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{ModuleResult, Run};

    fn case(name: &str, milliseconds: f64, mebibytes: usize) -> CaseResult {
        let mut case = CaseResult::new(name, &format!("the case {name}"), 4096);
        case.whole.insert(POLICY.to_owned(), milliseconds * 1e6);
        case.peak_memory.insert(POLICY.to_owned(), mebibytes * 1024 * 1024);
        case
    }

    #[test]
    fn tables_follow_from_the_times() {
        let report = Report {
            run: Run {
                date: "2026-01-02".to_owned(),
                machine: "a machine".to_owned(),
                modules: vec![ModuleResult::new(POLICY, 1)],
                cases: vec![case("nothing", 0.1, 1), case(PLANNED, 0.4, 2)],
            },
            goals: Vec::new(),
        };
        let text = to_markdown(&report);
        for line in [
            "2026-01-02, on a machine.",
            "| the case nothing | 0.10 | 10000 | 2500 | 1.0 |",
            "| the case flyte-10 | 0.40 | 2500 | 620 | 2.0 |",
            "The modules of a replica take at most 4 MiB with 2 workers, 64 MiB with 32.",
            "For Pods with the case flyte-10:",
            "| 10 | 0.02 | 2 | 100m |",
            "| 100 | 0.16 | 2 | 200m |",
            "| 1000 | 1.60 | 2 | 1600m |",
            "| 5000 | 8.00 | 5 | 2000m |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn there_is_always_one_replica_more_than_the_load_needs() {
        let one_core = 1e9 * SHARE;
        assert_eq!(
            Plan::of(4.0, one_core),
            Plan {
                cores: 4.0,
                replicas: 3.0,
                millicores: 2000.0
            }
        );
        assert_eq!(Plan::of(0.01, one_core).replicas, 2.0);
    }

    #[test]
    fn the_manifest_has_these_cores() {
        let manifest =
            std::fs::read_to_string(crate::modules::repository().join("deploy/base/policy-server.yaml")).unwrap();
        let limits = manifest.split("\n  limits:\n").nth(1).unwrap();
        assert!(limits.starts_with(&format!("    cpu: \"{CORES}\"\n")), "{limits}");
    }

    #[test]
    fn numbers_have_two_digits_that_count() {
        for (number, expected) in [
            (1.0, "1"),
            (9.7, "9"),
            (99.9, "99"),
            (12_345.0, "12000"),
            (999.0, "990"),
        ] {
            assert_eq!(rounded(number), expected);
        }
    }
}
