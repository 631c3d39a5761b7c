//! Mutates a target's corpus for some seconds, or replays files.

use std::{
    env, fs, io,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use yunqiao_fuzz::{Mutator, TARGETS, Target};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let target = arguments
        .first()
        .and_then(|name| TARGETS.iter().find(|target| target.name == name));
    let (Some(target), Some(how)) = (target, arguments.get(1)) else {
        eprintln!("usage: fuzz TARGET SECONDS | fuzz TARGET FILE…    where TARGET is one of");
        TARGETS.iter().for_each(|target| eprintln!("  {}", target.name));
        return Ok(ExitCode::FAILURE);
    };
    match how.parse() {
        Ok(seconds) => mutate(target, Duration::from_secs(seconds)),
        Err(_) => replay(target, &arguments[1..]),
    }
}

fn replay(target: &Target, files: &[String]) -> io::Result<ExitCode> {
    for file in files {
        println!("{file}");
        (target.run)(&fs::read(file)?);
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seed of a random generator: any number does that is not always the same"
)]
fn mutate(target: &Target, span: Duration) -> io::Result<ExitCode> {
    let seeds = target.corpus()?.into_iter().map(|(_, seed)| seed).collect();
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
    let mut mutator = Mutator::new(seeds, seed);
    let (began, mut count) = (Instant::now(), 0u64);
    while began.elapsed() < span {
        let input = mutator.next_input();
        count += 1;
        if target.is_broken_by(&input) {
            let path = target.corpus_dir().join(format!("found-{seed:x}-{count}"));
            fs::write(&path, &input)?;
            eprintln!("{} breaks it", path.display());
            return Ok(ExitCode::FAILURE);
        }
    }
    println!("{}: {count} inputs, and no promise was broken", target.name);
    Ok(ExitCode::SUCCESS)
}
