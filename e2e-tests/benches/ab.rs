#[allow(dead_code)]
#[path = "evaluation/cases.rs"]
mod cases;
use e2e_tests::host::{PolicyModule, validate_payload};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (cs, files): (Vec<_>, Vec<_>) = args.iter().partition(|a| !a.contains('/'));
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let mods: Vec<_> = files
        .iter()
        .map(|f| {
            (
                f.rsplit('/').next().unwrap().to_string(),
                PolicyModule::from_file(f).unwrap(),
            )
        })
        .collect();
    if let Ok(n) = std::env::var("PROFILE") {
        profile(files[0], cs[0], n.parse().unwrap());
        return;
    }
    for case in cases::all().unwrap() {
        if !cs.is_empty() && !cs.iter().any(|c| **c == case.name) {
            continue;
        }
        let payload = validate_payload(&case.request, &case.settings).unwrap();
        let n = (n * 5000 / payload.len().max(5000)).max(15);
        let mut t: Vec<[Vec<f64>; 5]> = mods.iter().map(|_| Default::default()).collect();
        for _ in 0..n {
            for (i, (_, m)) in mods.iter().enumerate() {
                let s = Instant::now();
                let r = m.validate(&case.host, &case.request, &case.settings);
                t[i][0].push(s.elapsed().as_nanos() as f64);
                drop(r);
                let s = Instant::now();
                let inst = m.instantiate(&case.host).unwrap();
                t[i][2].push(s.elapsed().as_nanos() as f64);
                let s = Instant::now();
                let a = inst.call("validate", &payload).unwrap();
                t[i][1].push(s.elapsed().as_nanos() as f64);
                drop(inst);
                let s = Instant::now();
                let v: kubewarden_policy_sdk::response::ValidationResponse = serde_json::from_slice(&a).unwrap();
                t[i][3].push(s.elapsed().as_nanos() as f64);
                let s = Instant::now();
                let v = e2e_tests::review::AdmissionResponse::from_policy(&case.request, &v);
                t[i][4].push(s.elapsed().as_nanos() as f64);
                std::hint::black_box(v);
            }
        }
        println!("{} ({} B)", case.name, payload.len());
        let mut base = [0.0; 5];
        for (i, (name, _)) in mods.iter().enumerate() {
            let med = |v: &mut Vec<f64>| {
                v.sort_by(f64::total_cmp);
                v[v.len() / 2] / 1000.0
            };
            let m: Vec<f64> = t[i].iter_mut().map(med).collect();
            if i == 0 {
                base = [m[0], m[1], m[2], 0., 0.];
            }
            println!(
                "  {name:24} whole {:8.1} ({:.2})  guest {:8.1} ({:.2})  inst {:6.1} ({:.2}) parse {:6.1} patch {:6.1}",
                m[0],
                m[0] / base[0],
                m[1],
                m[1] / base[1],
                m[2],
                m[2] / base[2],
                m[3],
                m[4]
            );
        }
    }
}

fn profile(file: &str, name: &str, n: usize) {
    use wasmtime_provider::wasmtime;
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        .profiler(wasmtime::ProfilingStrategy::PerfMap);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let module = wasmtime::Module::new(&engine, std::fs::read(file).unwrap()).unwrap();
    let pre = wasmtime_provider::WasmtimeEngineProviderBuilder::new()
        .engine(engine)
        .module(module)
        .build_pre()
        .unwrap();
    let case = cases::all().unwrap().into_iter().find(|c| c.name == name).unwrap();
    let payload = validate_payload(&case.request, &case.settings).unwrap();
    let d = wasmtime_provider::EpochDeadlines {
        wapc_init: 1000,
        wapc_func: 1000,
    };
    for _ in 0..n {
        let h = wapc::WapcHost::new(Box::new(pre.rehydrate(Some(d)).unwrap()), None).unwrap();
        std::hint::black_box(h.call("validate", &payload).unwrap());
    }
}
