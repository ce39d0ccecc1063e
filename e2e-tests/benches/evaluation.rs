//! The policy beside the baselines, on the same requests, in one run: `make bench`, or `make bench QUICK=1`.
//!
//! Whatever is compared is measured in turns: a round measures each module on a request before it goes on to the next
//! request, and ratios are made within a round. A neighbour on the machine who comes and goes then slows both sides.
//! `cargo bench -p e2e-tests --bench evaluation -- flyte-10` measures one request and reports nothing.

use std::{env, fs, hint::black_box, time::Duration, time::SystemTime};

use anyhow::{Context as _, Result, ensure};
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, measurement::WallTime};
use e2e_tests::{
    bench::{
        self, CaseResult, Measure, ModuleResult, Run,
        cases::{self, Case},
        machine,
    },
    capabilities::Host,
    host::{PolicyModule, validate_payload},
    modules::{self, Baseline, repository},
};

/// Makes a run short, and `docs` stay as they are.
const QUICK: &str = "QUICK";
/// Many short ones: a neighbour who comes and goes within a round spoils its ratios, and the median leaves those rounds out.
const ROUNDS: usize = 9;
const QUICK_ROUNDS: usize = 3;

struct Module {
    name: &'static str,
    wasm: Vec<u8>,
    compiled: PolicyModule,
}

fn main() -> Result<()> {
    // What starts with a dash is cargo's or Criterion's; the rest narrows the run.
    let filtered = env::args().skip(1).any(|argument| !argument.starts_with('-'));
    let quick = env::var_os(QUICK).is_some_and(|value| !value.is_empty());
    let rounds = if quick { QUICK_ROUNDS } else { ROUNDS };
    let started = SystemTime::now();
    let estimates = repository().join("target/criterion");
    let mut criterion = Criterion::default()
        .output_directory(&estimates)
        .without_plots()
        .nresamples(1000)
        .sample_size(10)
        .configure_from_args();
    let modules = modules()?;
    let cases = cases::all()?;
    for case in &cases {
        check(&modules, case)?;
    }
    for round in 1..=rounds {
        for case in &cases {
            whole(&mut criterion, &modules, case, round);
            guest(&mut criterion, &modules, case, round)?;
        }
        instantiation(&mut criterion, &modules, round);
    }
    compilation(&mut criterion, &modules);
    criterion.final_summary();
    if filtered {
        return Ok(());
    }
    let run = Run {
        date: machine::date()?,
        machine: machine::described()?,
        modules: module_results(&modules),
        cases: case_results(&modules, &cases)?,
    };
    let report = bench::report(run, &estimates, rounds, started)?;
    fs::write(repository().join("target/bench.json"), report.to_json()?)?;
    println!("{}", report.to_markdown());
    if !quick {
        ensure!(
            cfg!(feature = "jemalloc"),
            "these figures are of another allocator than the policy server's: use make bench"
        );
        report.write_into(&repository().join("docs/contributing/benchmarks.md"))?;
        report.write_sizing_into(&repository().join("docs/how-to/size.md"))?;
    }
    Ok(())
}

fn modules() -> Result<Vec<Module>> {
    let policy = (bench::POLICY, modules::policy());
    let mut files = vec![];
    for baseline in Baseline::ALL {
        files.push((baseline.name(), modules::baseline(baseline)?));
    }
    files.insert(2, policy);
    files
        .into_iter()
        .map(|(name, path)| {
            let wasm = fs::read(&path).with_context(|| format!("{}: run `make policy.wasm`", path.display()))?;
            let compiled = PolicyModule::new(&wasm)?;
            Ok(Module { name, wasm, compiled })
        })
        .collect()
}

/// A policy that refuses is fast, and no use.
fn check(modules: &[Module], case: &Case) -> Result<()> {
    for module in modules {
        let evaluation = module.compiled.validate(&case.host, &case.request, &case.settings);
        let response = &evaluation.response;
        ensure!(
            response.allowed,
            "{} refuses {}: {}",
            module.name,
            case.name,
            response.message()
        );
        ensure!(
            module.name != bench::POLICY || evaluation.mutated_object.is_some() == case.asks,
            "{} mutates {} though it asks for nothing, or does not though it asks",
            module.name,
            case.name
        );
    }
    Ok(())
}

fn group<'c>(criterion: &'c mut Criterion, measure: Measure, case: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(measure.group(case));
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(15))
        .measurement_time(Duration::from_millis(60));
    group
}

/// From the request to the response with its JSON patch: the payload is written, an instance made, called and thrown
/// away, its answer read and compared with the object.
fn whole(criterion: &mut Criterion, modules: &[Module], case: &Case, round: usize) {
    let mut group = group(criterion, Measure::Whole, &case.name);
    for module in modules {
        group.bench_function(BenchmarkId::new(module.name, round), |bencher| {
            bencher.iter(|| {
                let request = black_box(&case.request);
                module.compiled.validate(&case.host, request, &case.settings).response
            });
        });
    }
    group.finish();
}

/// The call alone, of an instance that is there already and is thrown away afterwards.
fn guest(criterion: &mut Criterion, modules: &[Module], case: &Case, round: usize) -> Result<()> {
    let payload = validate_payload(&case.request, &case.settings)?;
    let mut group = group(criterion, Measure::Guest, &case.name);
    // The instances, which are not measured, take longer than the calls.
    group.measurement_time(Duration::from_millis(15));
    for module in modules {
        group.bench_function(BenchmarkId::new(module.name, round), |bencher| {
            bencher.iter_batched(
                || module.compiled.instantiate(&case.host),
                |instance| {
                    let answer = instance
                        .as_ref()
                        .map(|instance| instance.call("validate", black_box(&payload)));
                    (answer.is_ok(), instance)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    Ok(())
}

fn instantiation(criterion: &mut Criterion, modules: &[Module], round: usize) {
    let host = Host::isolated();
    let mut group = group(criterion, Measure::Instantiation, "");
    for module in modules {
        group.bench_function(BenchmarkId::new(module.name, round), |bencher| {
            bencher.iter_batched(|| (), |()| module.compiled.instantiate(&host), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn compilation(criterion: &mut Criterion, modules: &[Module]) {
    let mut group = group(criterion, Measure::Compilation, "");
    for module in modules {
        group.bench_function(BenchmarkId::new(module.name, 1), |bencher| {
            bencher.iter(|| PolicyModule::new(black_box(&module.wasm)));
        });
    }
    group.finish();
}

fn module_results(modules: &[Module]) -> Vec<ModuleResult> {
    modules
        .iter()
        .map(|module| ModuleResult::new(module.name, module.wasm.len()))
        .collect()
}

fn case_results(modules: &[Module], cases: &[Case]) -> Result<Vec<CaseResult>> {
    let mut results = Vec::new();
    for case in cases {
        let payload = validate_payload(&case.request, &case.settings)?;
        let mut result = CaseResult::new(&case.name, &case.about, payload.len());
        for module in modules {
            let memory = module.compiled.peak_memory(&case.host, "validate", &payload)?;
            result.peak_memory.insert(module.name.to_owned(), memory);
        }
        results.push(result);
    }
    Ok(results)
}
