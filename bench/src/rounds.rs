//! Throughput and latency: everybody in turn, round after round, so that a slow minute of the machine falls on all.

use std::time::Duration;

use anyhow::Result;

use crate::{
    load::{self, Measured, Run, Target},
    median::{Median, median, micros, millis},
    ours::Ours,
    peers::Peers,
    process::Process,
    table::Line,
    workload::{CONCURRENT, Round, SERIAL, ours_alone},
};

/// As many clients as call at once in the throughput runs.
const CONNECTIONS: usize = 32;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// For each target in each round.
    pub(crate) measure: Duration,
}

/// One target in one round of the throughput runs.
struct Sample {
    measured: Measured,
    /// CPU time for a call: the server's own, and of the processes below it.
    cpu: (Duration, Duration),
}

/// Calls per second with 32 connections, and what each call costs in CPU time.
pub(crate) fn throughput(ours: &Ours, peers: &Peers, plan: Plan) -> Result<Vec<Line>> {
    let run = Run {
        connections: CONNECTIONS,
        warm_up: plan.measure / 4,
        measure: plan.measure,
    };
    let names = ["plain", "framework", "framework-quiet", "serial", "concurrent"];
    let mut samples: [Vec<Sample>; 5] = Default::default();
    // Round 0 does not count: after it, everybody's code is compiled and everybody's workers run.
    for number in 0..=plan.rounds {
        let round = Round::prepare(ours, peers)?;
        let targets: [(&Target, &Process); 5] = [
            (&round.plain, &peers.plain.process),
            (&round.framework, &peers.framework.process),
            (&round.quiet, &peers.quiet.process),
            (&round.serial, &ours.process),
            (&round.concurrent, &ours.process),
        ];
        if number == 0 {
            let (ours, peers) = round.sizes;
            println!("bodies: ours {ours} bytes with one ticket, the peers' {peers} bytes in clear");
        }
        match number {
            0 => print!("warm-up:"),
            _ => print!("round {number} of {}:", plan.rounds),
        }
        // Another one begins in each round: whoever comes first may find the machine cooler.
        for turn in 0..targets.len() {
            let index = (number + turn) % targets.len();
            let (target, process) = targets[index];
            let sample = sample(target, process, run)?;
            print!(" {} {:.0}/s", names[index], sample.measured.per_second);
            if number > 0 {
                samples[index].push(sample);
            }
        }
        println!();
    }

    let [plain, framework, quiet, serial, concurrent] = &samples;
    let ratio = |of: &[Sample], to: &[Sample]| {
        median(
            of.iter()
                .zip(to)
                .map(|(of, to)| of.measured.per_second / to.measured.per_second),
        )
        .value
    };
    let line = |what: &str, of: &[Sample], goals: Option<(f64, f64)>| {
        let (to_plain, to_framework) = (ratio(of, plain), ratio(of, framework));
        Line {
            what: what.to_owned(),
            figure: figure(of),
            to_plain: Some(to_plain),
            to_framework: Some(to_framework),
            goal: goals
                .map(|(plain, framework)| format!("≥ {plain} and ≥ {framework} ×"))
                .unwrap_or_default(),
            met: goals.map(|(plain, framework)| to_plain >= plain && to_framework >= framework),
        }
    };
    Ok(vec![
        line("plain node:http, 32 connections", plain, None),
        line("functions-framework, as documented", framework, None),
        line("functions-framework, its log cut down", quiet, None),
        line("ours, one call at a time, two workers", serial, Some((1.25, 4.5))),
        line("ours, concurrency = 64, one worker", concurrent, Some((2.0, 7.0))),
    ])
}

/// Two gateways side by side: the same calls to each in turn, round after round.
struct Pair {
    first: Vec<Sample>,
    second: Vec<Sample>,
}

impl Pair {
    /// Calls `function` of both, over as many connections.
    fn measure(gateways: [&Ours; 2], function: &str, connections: usize, plan: Plan) -> Result<Self> {
        let run = Run {
            connections,
            warm_up: plan.measure / 4,
            measure: plan.measure,
        };
        let mut samples: [Vec<Sample>; 2] = Default::default();
        // Round 0 does not count, as above.
        for number in 0..=plan.rounds {
            for turn in 0..2 {
                let index = (number + turn) % 2;
                let ours = gateways[index];
                let sample = sample(&ours_alone(ours, function)?, &ours.process, run)?;
                if number > 0 {
                    samples[index].push(sample);
                }
            }
        }
        let [first, second] = samples;
        Ok(Self { first, second })
    }

    /// The second's share of the first, of each round.
    fn ratio(&self, of: impl Fn(&Sample) -> f64) -> Median {
        median(
            self.first
                .iter()
                .zip(&self.second)
                .map(|(first, second)| of(second) / of(first)),
        )
    }
}

/// What the console costs that nobody watches: a gateway that has one, against a gateway that has none.
pub(crate) fn console(without: &Ours, with: &Ours, plan: Plan) -> Result<Vec<Line>> {
    let pair = Pair::measure([without, with], SERIAL, CONNECTIONS, plan)?;
    let ratio = pair.ratio(|sample| sample.measured.per_second);
    let more = median(
        pair.first
            .iter()
            .zip(&pair.second)
            .map(|(none, one)| micros(one.cpu.0) - micros(none.cpu.0)),
    );
    Ok(vec![
        Line {
            what: "calls without a console".to_owned(),
            figure: figure(&pair.first),
            ..Line::default()
        },
        Line {
            what: "calls with a console that nobody watches".to_owned(),
            figure: format!(
                "{}; {:.2} × as many ({:.2}–{:.2}), CPU {:+.1} µs a call",
                figure(&pair.second),
                ratio.value,
                ratio.least,
                ratio.most,
                more.value
            ),
            goal: "the same: ≥ 0.95 ×".to_owned(),
            met: Some(ratio.value >= 0.95),
            ..Line::default()
        },
    ])
}

/// Another build beside this one: the same calls to both, in turn.
pub(crate) fn compare(other: &Ours, this: &Ours, plan: Plan) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (what, function, connections) in [
        ("one call at a time, two workers", SERIAL, CONNECTIONS),
        ("concurrency = 64, one worker", CONCURRENT, CONNECTIONS),
        ("one connection", SERIAL, 1),
    ] {
        let pair = Pair::measure([other, this], function, connections, plan)?;
        let calls = pair.ratio(|sample| sample.measured.per_second);
        let cpu = pair.ratio(|sample| micros(sample.cpu.0 + sample.cpu.1));
        lines.push(Line {
            what: format!("{what}: the other build"),
            figure: figure(&pair.first),
            ..Line::default()
        });
        lines.push(Line {
            what: format!("{what}: this build"),
            figure: format!(
                "{}; {:.2} × as many ({:.2}–{:.2}), {:.2} × the CPU ({:.2}–{:.2})",
                figure(&pair.second),
                calls.value,
                calls.least,
                calls.most,
                cpu.value,
                cpu.least,
                cpu.most
            ),
            ..Line::default()
        });
    }
    Ok(lines)
}

fn sample(target: &Target, process: &Process, run: Run) -> Result<Sample> {
    let mut before = None;
    let measured = load::run(target, run, || before = process.cpu().ok())?;
    let after = process.cpu()?;
    let before = before.unwrap_or(after);
    let calls = u32::try_from(measured.calls)?;
    let cpu = (
        (after.0 - before.0) / calls,
        after.1.saturating_sub(before.1) / calls,
    );
    Ok(Sample { measured, cpu })
}

fn figure(samples: &[Sample]) -> String {
    let of = |value: &dyn Fn(&Sample) -> f64| median(samples.iter().map(value));
    let Median { value, least, most } = of(&|sample| sample.measured.per_second);
    let p50 = of(&|sample| millis(sample.measured.quantile(0.5))).value;
    let p99 = of(&|sample| millis(sample.measured.quantile(0.99))).value;
    let own = of(&|sample| micros(sample.cpu.0)).value;
    let below = of(&|sample| micros(sample.cpu.1)).value;
    let cpu = if below > 0.0 {
        format!("{own:.1} + {below:.1}")
    } else {
        format!("{own:.1}")
    };
    format!("{value:.0}/s ({least:.0}–{most:.0}); p50 {p50:.2}, p99 {p99:.2} ms; CPU {cpu} µs a call")
}

/// Latency of one connection, against plain's.
pub(crate) fn latency(ours: &Ours, peers: &Peers, plan: Plan) -> Result<Vec<Line>> {
    let run = Run {
        connections: 1,
        warm_up: plan.measure / 4,
        measure: plan.measure,
    };
    let mut plain = Vec::new();
    let mut serial = Vec::new();
    for number in 0..plan.rounds {
        let round = Round::prepare(ours, peers)?;
        let mut both = [(&round.plain, &mut plain), (&round.serial, &mut serial)];
        if number % 2 == 1 {
            both.reverse();
        }
        for (target, measured) in both {
            measured.push(load::run(target, run, || ())?);
        }
    }
    let of = |measured: &[Measured], share: f64| {
        median(measured.iter().map(|measured| micros(measured.quantile(share)))).value
    };
    let more = median(
        serial
            .iter()
            .zip(&plain)
            .map(|(ours, plain)| micros(ours.quantile(0.5)) - micros(plain.quantile(0.5))),
    )
    .value;
    let tail = median(
        serial
            .iter()
            .zip(&plain)
            .map(|(ours, plain)| micros(ours.quantile(0.99)) / micros(plain.quantile(0.99))),
    )
    .value;
    Ok(vec![
        Line {
            what: "plain node:http, one connection".to_owned(),
            figure: format!("p50 {:.0}, p99 {:.0} µs", of(&plain, 0.5), of(&plain, 0.99)),
            ..Line::default()
        },
        Line {
            what: "ours, one connection, p50".to_owned(),
            figure: format!("{:.0} µs: plain's {more:+.0}", of(&serial, 0.5)),
            goal: "within 15 µs of plain's".to_owned(),
            met: Some(more <= 15.0),
            ..Line::default()
        },
        Line {
            what: "ours, one connection, p99".to_owned(),
            figure: format!("{:.0} µs: {tail:.2} of plain's", of(&serial, 0.99)),
            goal: "not above plain's".to_owned(),
            met: Some(tail <= 1.0),
            ..Line::default()
        },
    ])
}

/// Memory of the gateway's own process that is resident: with no worker yet, and after the load.
pub(crate) fn memory(idle: u64, loaded: Option<u64>) -> Vec<Line> {
    let mebibytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let mut lines = vec![Line {
        what: "memory of `serve`, idle, no workers".to_owned(),
        figure: format!("{:.1} MB", mebibytes(idle)),
        goal: "≤ 20 MB".to_owned(),
        met: Some(mebibytes(idle) <= 20.0),
        ..Line::default()
    }];
    lines.extend(loaded.map(|loaded| Line {
        what: "memory of `serve` after the load".to_owned(),
        figure: format!("{:.1} MB", mebibytes(loaded)),
        ..Line::default()
    }));
    lines
}
