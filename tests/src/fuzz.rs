//! Decoders are fed with bytes that nobody wrote: mutations of what they should read.
//!
//! Each target runs a few thousand mutations in the test command, the same ones each time, and as many as fit into
//! `HEBBIAN_FUZZ_SECONDS` of the processor's time where that is set (then with another seed each time, which is printed;
//! `HEBBIAN_FUZZ_SEED` repeats it). What a decoder accepts becomes material for further mutations, so that the search gets past its first checks; where the compiler
//! counts what is reached (`coverage`), also what reaches something new. `HEBBIAN_FUZZ_CORPUS` names a directory in which that is kept,
//! in a directory for each target, and from which it is taken the next time.

mod coverage;

use std::fmt::Write as _;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coverage::Reached;
use hebbian_shared::digest::Digest;
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, index_below, uniform};

/// Mutations of a target in the test command.
const MUTATIONS: u64 = 4000;
/// The most inputs that are kept as material.
const MATERIAL_MAX: usize = 512;
/// The longest input.
const BYTES_MAX: usize = 1 << 16;

/// Bytes that decoders are likely to stumble over.
const ODD: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, b'"', b'[', b'.', b'-'];

/// Feeds `decode` with mutations of `corpus`; it says whether it accepted its input. Panics, with the input, if it panics.
pub fn fuzz(target: &str, corpus: &[Vec<u8>], decode: impl Fn(&[u8]) -> bool) {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = read("HEBBIAN_FUZZ_SECONDS");
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64 >> 1;
    let seed = read("HEBBIAN_FUZZ_SEED").or_else(|| seconds.map(|_| moment)).unwrap_or(1);
    let mut rng = Seed::new(seed >> 1).expect("in range").derive(Purpose::Split, 0).rng();
    let work = Work::begin();
    let over = |done: u64| match seconds {
        // However slow the machine is, never fewer than in the test command.
        Some(seconds) => done >= MUTATIONS && work.lasted(Duration::from_secs(seconds), done),
        None => done >= MUTATIONS,
    };
    for input in corpus {
        assert!(decode(input), "{target}: the decoder must accept what mutations begin with");
    }
    let kept = std::env::var_os("HEBBIAN_FUZZ_CORPUS")
        .map(|directory| PathBuf::from(directory).join(file_name(target)));
    let mut reached = Reached::new();
    let mut material = corpus.to_vec();
    for input in kept.iter().flat_map(|directory| inputs(directory)) {
        let _ = panic::catch_unwind(AssertUnwindSafe(|| decode(&input)));
        reached.take();
        material.push(input);
    }
    let own = material.len();
    let (mut done, mut accepted, mut slowest) = (0, 0, Duration::ZERO);
    while !over(done) {
        let input = mutate(&mut rng, &material);
        let began = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| decode(&input)));
        slowest = slowest.max(began.elapsed());
        done += 1;
        let Ok(took) = outcome else {
            let hex = input.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            panic!("{target}: the decoder panicked (HEBBIAN_FUZZ_SEED={seed}) on {hex}");
        };
        accepted += u64::from(took);
        let is_new = reached.take();
        if let Some(directory) = kept.as_ref().filter(|_| is_new) {
            keep(directory, &input);
        }
        if is_new || took && !reached.is_counted() {
            if material.len() < MATERIAL_MAX.max(own + 1) || reached.is_counted() {
                material.push(input);
            } else {
                let place = corpus.len() + below(&mut rng, MATERIAL_MAX - corpus.len());
                material[place] = input;
            }
        }
    }
    let (elapsed, computed) = (work.begun.elapsed(), work.computed());
    println!(
        "{target}: {done} mutations, {accepted} accepted, slowest {slowest:?}, seed {seed}, {:.0} s of the processor in {:.0} s",
        computed.as_secs_f64(),
        elapsed.as_secs_f64()
    );
    if reached.is_counted() {
        println!("{target}: {} inputs reach {} branches", material.len(), reached.branches());
    }
    // Where branches are counted, what is refused late is as good a beginning as what is accepted, and there are more of those.
    assert!(
        accepted > 0 || reached.is_counted(),
        "{target}: mutations that are all refused at once test nothing but the first check"
    );
}

/// How long this thread has worked: a machine that does other things as well must not shorten a search.
struct Work {
    begun: Instant,
    before: Option<Duration>,
}

impl Work {
    fn begin() -> Self {
        Self { begun: Instant::now(), before: processor_time() }
    }

    /// The processor's time since the beginning; where the system does not tell it, that of the clock.
    fn computed(&self) -> Duration {
        let now = processor_time().zip(self.before);
        now.map_or_else(|| self.begun.elapsed(), |(now, before)| now.saturating_sub(before))
    }

    /// Whether that was so long. The system is asked seldom, and not before it can be true.
    fn lasted(&self, limit: Duration, done: u64) -> bool {
        done.is_multiple_of(64) && self.begun.elapsed() >= limit && self.computed() >= limit
    }
}

/// How long this thread has been on a processor (Linux).
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// A target as the name of a directory.
fn file_name(target: &str) -> String {
    target.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The inputs that are kept in a directory, in a fixed order.
fn inputs(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).filter(|input| input.len() <= BYTES_MAX).collect()
}

fn keep(directory: &Path, input: &[u8]) {
    let written = fs::create_dir_all(directory)
        .and_then(|()| fs::write(directory.join(Digest::of(input).short()), input));
    written.expect("the corpus can be written");
}

fn below(rng: &mut ChaCha8Rng, limit: usize) -> usize {
    index_below(rng, limit.max(1) as u32) as usize
}

/// One of the inputs with some changes.
fn mutate(rng: &mut ChaCha8Rng, material: &[Vec<u8>]) -> Vec<u8> {
    let mut input = material[below(rng, material.len())].clone();
    for _ in 0..=below(rng, 4) {
        let place = below(rng, input.len());
        let length = (1 + below(rng, 16)).min(input.len().saturating_sub(place));
        match below(rng, 9) {
            0 if !input.is_empty() => input[place] ^= 1 << below(rng, 8),
            1 if !input.is_empty() => input[place] = ODD[below(rng, ODD.len())],
            2 if !input.is_empty() => input[place] = below(rng, 256) as u8,
            3 => drop(input.drain(place..place + length)),
            4 => input.truncate(place),
            5 => {
                let copied = input[place..place + length].to_vec();
                let to = below(rng, input.len() + 1);
                drop(input.splice(to..to, copied));
            }
            6 => {
                // A long number where a short one was: varints and lengths alike.
                let number = [0xff; 10];
                let count = 1 + below(rng, number.len());
                drop(input.splice(place..place + length, number[..count].iter().copied()));
            }
            7 => {
                // The rest of another input.
                let other = &material[below(rng, material.len())];
                let from = below(rng, other.len() + 1);
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let added: Vec<u8> = (0..length).map(|_| (uniform(rng) * 256.0) as u8).collect();
                drop(input.splice(place..place, added));
            }
        }
    }
    input.truncate(BYTES_MAX);
    input
}
