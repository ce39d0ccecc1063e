//! What the benchmark found: Criterion's estimates as tables and as JSON, beside the goals.
//!
//! Times are medians. A benchmark runs in rounds; a ratio is made within each round, and reported is the median of the
//! rounds.

pub mod cases;
pub mod machine;
mod sizing;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

/// What the policy is called beside the [baselines](crate::modules::Baseline).
pub const POLICY: &str = "policy";

/// The lines between which a document holds what the target `target` of the Makefile measured.
pub fn marks(target: &str) -> (String, String) {
    let mark = |end: &str| format!("<!-- make {target}: {end} here -->");
    (mark("from"), mark("to"))
}

const TARGET: &str = "bench";

/// The times of a round, in nanoseconds, by module.
type Round = BTreeMap<String, f64>;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A request from the admission request to the admission response.
    Whole,
    /// The call of the guest's function.
    Guest,
    /// Making and starting an instance.
    Instantiation,
    /// Compiling a module.
    Compilation,
}

impl Measure {
    /// The name of Criterion's group for `case`.
    pub fn group(self, case: &str) -> String {
        match self {
            Self::Whole => format!("whole-{case}"),
            Self::Guest => format!("guest-{case}"),
            Self::Instantiation => "instantiation".to_owned(),
            Self::Compilation => "compilation".to_owned(),
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// An estimate, or the document, cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The estimate is not from this run.
    #[error("{} is of an earlier run", .0.display())]
    Old(PathBuf),
    /// An estimate is not as Criterion writes it, or the report is not as JSON has it.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The document has no place for the report.
    #[error("{} lacks the lines {:?} and {:?}", .0.display(), .1.0, .1.1)]
    Marks(PathBuf, (String, String)),
}

/// A run of the benchmark, without its times.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// When, as `YYYY-MM-DD`.
    pub date: String,
    /// Where.
    pub machine: String,
    /// What was measured, in the order of the tables' columns.
    pub modules: Vec<ModuleResult>,
    /// With which requests.
    pub cases: Vec<CaseResult>,
}

/// What is known of a module.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleResult {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: usize,
    /// How long it takes to compile, in nanoseconds.
    pub compilation: f64,
    /// How long it takes to make an instance, in nanoseconds.
    pub instantiation: f64,
    /// The same as a ratio to `noop`'s.
    pub instantiation_to_noop: f64,
}

impl ModuleResult {
    /// A module that was not timed yet.
    pub fn new(name: &str, size: usize) -> Self {
        Self {
            name: name.to_owned(),
            size,
            compilation: 0.0,
            instantiation: 0.0,
            instantiation_to_noop: 0.0,
        }
    }
}

/// What is known of a request. The maps are by module.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// Its short name.
    pub name: String,
    /// What is particular about it.
    pub about: String,
    /// The size of the payload in bytes.
    pub payload: usize,
    /// To how many bytes the linear memory grows.
    pub peak_memory: BTreeMap<String, usize>,
    /// The times of the whole evaluation, in nanoseconds.
    pub whole: Round,
    /// The times of the guest alone, in nanoseconds.
    pub guest: Round,
    /// How the policy's whole time compares with the others'.
    pub whole_ratios: Round,
    /// How the policy's time in the guest compares with the others'.
    pub guest_ratios: Round,
    /// What the host takes for the policy's evaluation, to the whole of `echo`'s: with a guest that takes no time, the
    /// whole ratio would be this.
    pub host_to_echo: Option<f64>,
}

impl CaseResult {
    /// A request that was not timed yet.
    pub fn new(name: &str, about: &str, payload: usize) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            payload,
            peak_memory: BTreeMap::new(),
            whole: Round::new(),
            guest: Round::new(),
            whole_ratios: Round::new(),
            guest_ratios: Round::new(),
            host_to_echo: None,
        }
    }
}

/// Something that the policy is to keep below a limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// What it may be at most.
    pub limit: f64,
    /// What the host takes of it, where it is a ratio to `echo`.
    pub bound: Option<Bound>,
}

impl Goal {
    /// Whether it is met.
    pub fn met(&self) -> bool {
        self.measured <= self.limit
    }
}

/// What the host's part of an evaluation leaves to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// What would be measured with a guest that takes no time.
    pub host: f64,
    /// How long the guest may take for the goal, in nanoseconds; less than 0 where the host alone misses it.
    pub left: f64,
    /// How long the guest takes, in nanoseconds.
    pub guest: f64,
}

impl Bound {
    fn of(case: &CaseResult, limit: f64) -> Option<Self> {
        let host = case.host_to_echo?;
        Some(Self {
            host,
            left: (limit - host) * case.whole.get("echo")?,
            guest: *case.guest.get(POLICY)?,
        })
    }
}

/// A run with its times.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// The rounds of one group.
struct Rounds(Vec<Round>);

impl Rounds {
    fn read(
        directory: &Path,
        group: &str,
        modules: &[String],
        rounds: usize,
        started: SystemTime,
    ) -> Result<Self, ReportError> {
        let round = |number: usize| {
            let times = modules.iter().map(|module| {
                let path = directory.join(format!("{group}/{module}/{number}/new/estimates.json"));
                Ok((module.clone(), median_estimate(&path, started)?))
            });
            times.collect::<Result<Round, ReportError>>()
        };
        Ok(Self((1..=rounds).map(round).collect::<Result<_, _>>()?))
    }

    fn times(&self, modules: &[String]) -> Round {
        let time = |module: &String| (module.clone(), median(self.0.iter().map(|round| round[module])));
        modules.iter().map(time).collect()
    }

    /// `module`'s time as a ratio to `other`'s.
    fn ratio(&self, module: &str, other: &str) -> f64 {
        median(self.0.iter().map(|round| round[module] / round[other]))
    }

    fn ratios(&self, modules: &[String]) -> Round {
        let others = modules.iter().filter(|module| *module != POLICY);
        others.map(|other| (other.clone(), self.ratio(POLICY, other))).collect()
    }
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

fn median_estimate(path: &Path, started: SystemTime) -> Result<f64, ReportError> {
    let failed = |source| ReportError::File {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).and_then(|file| file.modified()).map_err(failed)? < started {
        return Err(ReportError::Old(path.to_owned()));
    }
    let estimates: Estimates = serde_json::from_str(&fs::read_to_string(path).map_err(failed)?)?;
    Ok(estimates.median.point_estimate)
}

/// The middle one of `values`.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Adds to `run` the times that Criterion wrote into `directory` since `started`.
pub fn report(mut run: Run, directory: &Path, rounds: usize, started: SystemTime) -> Result<Report, ReportError> {
    let names: Vec<String> = run.modules.iter().map(|module| module.name.clone()).collect();
    let read =
        |measure: Measure, case: &str, rounds| Rounds::read(directory, &measure.group(case), &names, rounds, started);
    let compilation = read(Measure::Compilation, "", 1)?.times(&names);
    let instantiation = read(Measure::Instantiation, "", rounds)?;
    for module in &mut run.modules {
        module.compilation = compilation[&module.name];
        module.instantiation = instantiation.times(&names)[&module.name];
        module.instantiation_to_noop = instantiation.ratio(&module.name, "noop");
    }
    let mut whole = BTreeMap::new();
    for case in &mut run.cases {
        let (evaluation, guest) = (
            read(Measure::Whole, &case.name, rounds)?,
            read(Measure::Guest, &case.name, rounds)?,
        );
        case.whole = evaluation.times(&names);
        case.guest = guest.times(&names);
        case.whole_ratios = evaluation.ratios(&names);
        case.guest_ratios = guest.ratios(&names);
        case.host_to_echo = host_to_echo(&evaluation, &guest);
        whole.insert(case.name.clone(), evaluation);
    }
    let goals = goals(&run, &whole);
    Ok(Report { run, goals })
}

/// What evaluations may take at most, as ratios to `echo`'s.
const TO_ECHO: [(&str, &str, f64); 8] = [
    ("one secret", "flyte-1", 1.25),
    ("ten secrets", "flyte-10", 1.70),
    ("fifty secrets", "flyte-50", 3.20),
    ("ten secrets as files", "files-10", 2.20),
    ("gcp, one secret", "gcp", 1.90),
    ("azure, one secret", "azure", 1.90),
    ("confidant, one secret", "confidant", 1.90),
    ("1 MiB Pod, one secret", "1m-one", 1.10),
];

fn goals(run: &Run, whole: &BTreeMap<String, Rounds>) -> Vec<Goal> {
    let case = |name: &str| run.cases.iter().find(|case| case.name == name);
    let goal = |what: &str, measured: Option<f64>, limit: f64| {
        Some(Goal {
            what: what.to_owned(),
            measured: measured?,
            limit,
            bound: None,
        })
    };
    let to_echo = TO_ECHO.iter().map(|(what, name, limit)| {
        let case = case(name)?;
        let measured = case.whole_ratios.get("echo").copied();
        let mut goal = goal(&format!("{what}, to `echo`"), measured, *limit)?;
        goal.bound = Bound::of(case, *limit);
        Some(goal)
    });
    let nothing = case("nothing").and_then(|case| case.whole_ratios.get("noop").copied());
    let guest = case("flyte-1").and_then(|case| case.guest_ratios.get("textbook").copied());
    let policy = run.modules.iter().find(|module| module.name == POLICY);
    let size = policy.map(|policy| kibibytes(policy.size));
    let goals = std::iter::once(goal("nothing asked, to `noop`", nothing, 1.05))
        .chain(to_echo)
        .chain([
            goal("template, to `kubernetes`", between(whole, "template", "flyte-1"), 1.20),
            goal("the guest alone, one secret, to `textbook`", guest, 0.28),
            goal("the module, KiB", size, 640.0),
        ]);
    goals.flatten().collect()
}

/// Returns the policy's time for one case as a ratio to its time for another.
fn between(whole: &BTreeMap<String, Rounds>, case: &str, other: &str) -> Option<f64> {
    let rounds = whole.get(case)?.0.iter().zip(&whole.get(other)?.0);
    Some(median(rounds.map(|(case, other)| case[POLICY] / other[POLICY])))
}

fn host_to_echo(whole: &Rounds, guest: &Rounds) -> Option<f64> {
    let rounds = whole.0.iter().zip(&guest.0);
    let ratios: Option<Vec<f64>> = rounds
        .map(|(whole, guest)| Some((whole.get(POLICY)? - guest.get(POLICY)?) / whole.get("echo")?))
        .collect();
    ratios.map(|ratios| median(ratios.into_iter()))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
/// `bytes` in KiB.
pub fn kibibytes(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

impl Report {
    /// The report for programs. Times are in nanoseconds, sizes in bytes.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The report for people.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}, on {}.\n\n", self.run.date, self.run.machine);
        let names: Vec<&str> = self.run.modules.iter().map(|module| module.name.as_str()).collect();
        text.push_str(&self.goals_table());
        text.push_str("\n### The whole evaluation\n\n");
        text.push_str(&self.times_table(&names, |case| (&case.whole, &case.whole_ratios)));
        text.push_str("\n### The guest alone\n\n");
        text.push_str(&self.times_table(&names, |case| (&case.guest, &case.guest_ratios)));
        text.push_str("\n### What the host takes of it\n\n");
        text.push_str(&self.host_table());
        text.push_str("\n### The modules\n\n");
        text.push_str(&self.modules_table());
        text.push_str("\n### Peak linear memory, in KiB\n\n");
        text.push_str(&self.memory_table(&names));
        text
    }

    /// Puts the report between the [`marks`] of a document.
    pub fn write_into(&self, document: &Path) -> Result<(), ReportError> {
        put_between_marks(document, TARGET, &self.to_markdown())
    }

    /// Puts what follows for the size of a policy server between the [`marks`] of a document.
    pub fn write_sizing_into(&self, document: &Path) -> Result<(), ReportError> {
        put_between_marks(document, TARGET, &sizing::to_markdown(self))
    }

    fn goals_table(&self) -> String {
        let header = [
            "Goal",
            "at most",
            "measured",
            "the host alone",
            "left for the guest, µs",
            "the guest, µs",
            "",
        ];
        let rows = self.goals.iter().map(|goal| {
            let met = if goal.met() { "met" } else { "missed" };
            let bound = goal.bound.map_or_else(Default::default, |bound| {
                [
                    format!("{:.2}", bound.host),
                    format!("{:.0}", bound.left / 1000.0),
                    format!("{:.0}", bound.guest / 1000.0),
                ]
            });
            let [host, left, guest] = bound;
            let (limit, measured) = (format!("{:.2}", goal.limit), format!("{:.2}", goal.measured));
            vec![goal.what.clone(), limit, measured, host, left, guest, met.to_owned()]
        });
        table(&header.map(str::to_owned), 1, rows)
    }

    fn times_table<'r>(&'r self, names: &[&str], of: impl Fn(&'r CaseResult) -> (&'r Round, &'r Round)) -> String {
        let mut header = vec!["Request".to_owned(), "KiB".to_owned()];
        header.extend(names.iter().map(|name| format!("`{name}`, µs")));
        let others = || names.iter().filter(|name| **name != POLICY);
        header.extend(others().map(|name| format!("to `{name}`")));
        let rows = self.run.cases.iter().map(|case| {
            let (times, ratios) = of(case);
            let mut row = vec![case.about.clone(), format!("{:.1}", kibibytes(case.payload))];
            row.extend(names.iter().map(|name| microseconds(times[*name])));
            row.extend(others().map(|name| format!("{:.2}", ratios[*name])));
            row
        });
        table(&header, 1, rows)
    }

    fn host_table(&self) -> String {
        let header = ["Request", "the whole, µs", "the host, µs", "the host alone, to `echo`"].map(str::to_owned);
        let rows = self.run.cases.iter().filter_map(|case| {
            let (whole, guest) = (case.whole.get(POLICY)?, case.guest.get(POLICY)?);
            Some(vec![
                case.about.clone(),
                microseconds(*whole),
                microseconds(whole - guest),
                format!("{:.2}", case.host_to_echo?),
            ])
        });
        table(&header, 1, rows)
    }

    fn modules_table(&self) -> String {
        let header = ["Module", "size, KiB", "compilation, ms", "instance, µs", "to `noop`"].map(str::to_owned);
        let rows = self.run.modules.iter().map(|module| {
            vec![
                format!("`{}`", module.name),
                format!("{:.0}", kibibytes(module.size)),
                format!("{:.0}", module.compilation / 1e6),
                microseconds(module.instantiation),
                format!("{:.2}", module.instantiation_to_noop),
            ]
        });
        table(&header, 1, rows)
    }

    fn memory_table(&self, names: &[&str]) -> String {
        let mut header = vec!["Request".to_owned()];
        header.extend(names.iter().map(|name| format!("`{name}`")));
        let rows = self.run.cases.iter().map(|case| {
            let mut row = vec![case.about.clone()];
            row.extend(
                names
                    .iter()
                    .map(|name| format!("{:.0}", kibibytes(case.peak_memory[*name]))),
            );
            row
        });
        table(&header, 1, rows)
    }
}

/// Puts `report` between the [`marks`] of a document.
pub fn put_between_marks(document: &Path, target: &str, report: &str) -> Result<(), ReportError> {
    let failed = |source| ReportError::File {
        path: document.to_owned(),
        source,
    };
    let (from, to) = marks(target);
    let missing = || ReportError::Marks(document.to_owned(), (from.clone(), to.clone()));
    let text = fs::read_to_string(document).map_err(failed)?;
    let (before, rest) = text.split_once(&from).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&to).ok_or_else(missing)?;
    fs::write(document, format!("{before}{from}\n\n{report}\n{to}{after}")).map_err(failed)
}

/// As a document shows a time.
pub fn microseconds(nanoseconds: f64) -> String {
    let microseconds = nanoseconds / 1000.0;
    let decimals = usize::from(microseconds < 100.0);
    format!("{microseconds:.decimals$}")
}

/// A table whose columns from `numbers` on are set to the right.
pub fn table(header: &[String], numbers: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    line(header);
    let rule = (0..header.len()).map(|column| if column < numbers { "---" } else { "--:" }.to_owned());
    line(&rule.collect::<Vec<_>>());
    for row in rows {
        line(&row);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Criterion's directory for a run with the times given, in nanoseconds: a module's name, and its time by round.
    /// A group's name, and for each module its estimates.
    type Group<'a> = (String, &'a [(&'a str, [f64; 3])]);

    fn criterion(name: &str, groups: &[Group<'_>]) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        for (group, modules) in groups {
            for (module, rounds) in *modules {
                for (round, time) in (1..).zip(rounds) {
                    let path = directory.join(format!("{group}/{module}/{round}/new"));
                    fs::create_dir_all(&path).unwrap();
                    let estimates = serde_json::json!({"median": {"point_estimate": time}});
                    fs::write(path.join("estimates.json"), estimates.to_string()).unwrap();
                }
            }
        }
        directory
    }

    fn run(modules: &[&str], cases: &[&str]) -> Run {
        let case = |name: &&str| {
            let mut case = CaseResult::new(name, &format!("the case {name}"), 2048);
            case.peak_memory = modules.iter().map(|module| ((*module).to_owned(), 65536)).collect();
            case
        };
        Run {
            date: "2026-01-02".to_owned(),
            machine: "a machine".to_owned(),
            modules: modules.iter().map(|name| ModuleResult::new(name, 512 * 1024)).collect(),
            cases: cases.iter().map(case).collect(),
        }
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        // The machine is ten times slower in the second round.
        let times: &[(&str, [f64; 3])] = &[
            ("noop", [1000.0, 10_000.0, 1010.0]),
            (POLICY, [1200.0, 12_000.0, 1100.0]),
        ];
        let groups = [
            (Measure::Whole.group("nothing"), times),
            (Measure::Guest.group("nothing"), times),
            (Measure::Instantiation.group(""), times),
            (Measure::Compilation.group(""), times),
        ];
        let directory = criterion("ratios", &groups);
        let report = report(
            run(&["noop", POLICY], &["nothing"]),
            &directory,
            3,
            SystemTime::UNIX_EPOCH,
        )
        .unwrap();
        let case = &report.run.cases[0];
        assert_eq!(case.whole[POLICY], 1200.0);
        assert_eq!(case.whole_ratios["noop"], 1.2);
        let goals: Vec<_> = report.goals.iter().map(|goal| (goal.limit, goal.met())).collect();
        assert_eq!(goals, [(1.05, false), (640.0, true)]);

        let document = directory.join("document.md");
        let (from, to) = marks(TARGET);
        fs::write(&document, format!("Before\n{from}\nold\n{to}\nAfter\n")).unwrap();
        report.write_into(&document).unwrap();
        let text = fs::read_to_string(&document).unwrap();
        assert!(
            text.starts_with("Before\n") && text.ends_with("\nAfter\n") && !text.contains("old"),
            "{text}"
        );
        assert!(text.contains("| the case nothing | 2.0 | 1.0 | 1.2 | 1.20 |"), "{text}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn two_cases_are_compared_within_a_round() {
        let rounds = |times: [f64; 3]| Rounds(times.map(|time| [(POLICY.to_owned(), time)].into()).into());
        let whole = [
            ("template".to_owned(), rounds([30.0, 240.0, 45.0])),
            ("flyte-1".to_owned(), rounds([20.0, 200.0, 30.0])),
        ];
        assert_eq!(between(&whole.into(), "template", "flyte-1"), Some(1.5));
    }

    #[test]
    fn the_hosts_part_is_without_the_guest() {
        let round = |policy: f64, echo: f64| Round::from([(POLICY.to_owned(), policy), ("echo".to_owned(), echo)]);
        let whole = Rounds(vec![round(30.0, 10.0), round(300.0, 100.0), round(45.0, 10.0)]);
        let guest = Rounds(vec![round(10.0, 1.0), round(100.0, 10.0), round(10.0, 1.0)]);
        assert_eq!(host_to_echo(&whole, &guest), Some(2.0));
    }

    #[test]
    fn the_host_bounds_what_the_guest_may_take() {
        let mut case = CaseResult::new("gcp", "manager gcp", 4000);
        case.whole = [("echo".to_owned(), 100_000.0), (POLICY.to_owned(), 200_000.0)].into();
        case.guest = [(POLICY.to_owned(), 60_000.0)].into();
        case.host_to_echo = Some(1.4);
        let bound = Bound::of(&case, 1.9).unwrap();
        assert_eq!((bound.left.round(), bound.guest), (50_000.0, 60_000.0));
    }

    #[test]
    fn estimates_of_an_earlier_run_do_not_count() {
        let directory = criterion("old", &[(Measure::Compilation.group(""), &[("noop", [1.0; 3])])]);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let error = report(run(&["noop"], &[]), &directory, 3, later).unwrap_err();
        assert!(matches!(error, ReportError::Old(_)), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}
