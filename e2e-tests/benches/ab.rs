#[allow(dead_code)]
#[path = "evaluation/cases.rs"]
mod cases;
use e2e_tests::host::{PolicyModule, validate_payload};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (cs, files): (Vec<_>, Vec<_>) = args.iter().partition(|a| !a.contains('/'));
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let mods: Vec<_> = files.iter().map(|f| (f.rsplit('/').next().unwrap().to_string(), PolicyModule::from_file(f).unwrap())).collect();
    for case in cases::all().unwrap() {
        if !cs.is_empty() && !cs.iter().any(|c| **c == case.name) { continue; }
        let payload = validate_payload(&case.request, &case.settings).unwrap();
        let n = (n * 5000 / payload.len().max(5000)).max(15);
        let mut t: Vec<[Vec<f64>; 3]> = mods.iter().map(|_| Default::default()).collect();
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
                let _ = inst.call("validate", &payload);
                t[i][1].push(s.elapsed().as_nanos() as f64);
            }
        }
        println!("{} ({} B)", case.name, payload.len());
        let mut base = [0.0; 3];
        for (i, (name, _)) in mods.iter().enumerate() {
            let med = |v: &mut Vec<f64>| { v.sort_by(f64::total_cmp); v[v.len() / 2] / 1000.0 };
            let m: Vec<f64> = t[i].iter_mut().map(med).collect();
            if i == 0 { base = [m[0], m[1], m[2]]; }
            println!("  {name:24} whole {:8.1} ({:.2})  guest {:8.1} ({:.2})  inst {:6.1} ({:.2})", m[0], m[0]/base[0], m[1], m[1]/base[1], m[2], m[2]/base[2]);
        }
    }
}
