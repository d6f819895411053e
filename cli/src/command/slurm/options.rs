//! What `hebbian slurm submit` is told, judged before anything is done.

use std::path::Path;

use crate::failure::Failure;

/// Minutes of walltime: the notice of its end comes one before it, or two.
const MINUTES_MIN: u64 = 2;

/// Options of `sbatch` that would undo what the jobs rely on, in their short form too, and what stands in their place.
const TAKEN: [(&str, char, &str); 6] = [
    ("array", 'a', "--workers, or --min and --max, say how many workers there are"),
    ("cpus-per-task", 'c', "--threads says how many processors a worker has"),
    ("chdir", 'D', "--directory says where the jobs work"),
    ("no-requeue", '\0', "the jobs go on after their walltime by going into the queue again"),
    ("wait", 'W', "the workers are submitted after the coordinator"),
    ("wrap", '\0', "the jobs have scripts"),
];

/// Reads a walltime in the forms that Slurm has.
pub(super) fn parse_time(text: &str) -> Result<String, String> {
    let unlimited = ["unlimited", "infinite"].contains(&text.to_ascii_lowercase().as_str());
    match minutes(text) {
        _ if unlimited => Ok(text.to_owned()),
        // To Slurm, none is no limit.
        Some(minutes) if minutes == 0 || minutes >= MINUTES_MIN => Ok(text.to_owned()),
        Some(_) => Err(format!(
            "must be at least {MINUTES_MIN} minutes: the notice of its end comes one minute before it, or two"
        )),
        None => Err("must be a time as Slurm takes it: minutes, as 90, or 4:00:00, or with days 2-12:00:00"
            .to_owned()),
    }
}

/// `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S` in minutes, of which Slurm takes whole ones.
fn minutes(text: &str) -> Option<u64> {
    let number = |part: &str| {
        let digits = (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    };
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(number(days)?), clock),
        None => (None, text),
    };
    let parts: Vec<u64> = clock.split(':').map(number).collect::<Option<_>>()?;
    let seconds = match (days, parts.as_slice()) {
        (None, [minutes]) => minutes * 60,
        (None, [minutes, seconds]) => minutes * 60 + seconds,
        (Some(days), [hours]) => (days * 24 + hours) * 3600,
        (Some(days), [hours, minutes]) => (days * 24 + hours) * 3600 + minutes * 60,
        (days, [hours, minutes, seconds]) => (days.unwrap_or(0) * 24 + hours) * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    Some(seconds.div_ceil(60))
}

/// Reads the name of a partition.
pub(super) fn parse_partition(text: &str) -> Result<String, String> {
    if !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Ok(text.to_owned());
    }
    Err("must be the name of a partition, or several with commas, without blanks".to_owned())
}

/// Reads an option of `sbatch`.
pub(super) fn parse_sbatch(text: &str) -> Result<String, String> {
    let long = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest));
    let short =
        text.strip_prefix('-').filter(|rest| !rest.starts_with('-')).and_then(|rest| rest.chars().next());
    if long.or(short.map(|_| "a letter")).is_none_or(str::is_empty) || text.chars().any(char::is_control) {
        return Err("must be an option of sbatch in one word, for example --account=lab".to_owned());
    }
    // Programs take the beginning of a long option for it.
    let is_taken = |name: &str, letter: char| {
        short == Some(letter) || long.is_some_and(|long| long.len() > 2 && name.starts_with(long))
    };
    match TAKEN.iter().find(|(name, letter, _)| is_taken(name, *letter)) {
        Some((name, _, instead)) => Err(format!("must not be --{name}: {instead}")),
        None => Ok(text.to_owned()),
    }
}

/// The path that `field` has as a script can hold it, from the root on.
pub(super) fn absolute(field: &str, path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path)
        .map_err(|error| Failure::bad_input(format_args!("{field}: {}: {error}", path.display())))?;
    text(field, &path)
}

/// The path that `field` has as a script can hold it.
pub(super) fn text(field: &str, path: &Path) -> Result<String, Failure> {
    match path.to_str().filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::bad_input(format_args!(
            "{field}: must be text (UTF-8) without control characters, as a line of a script holds it, not {}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_slurm_takes() {
        let right =
            ["2", "90", "1:30", "2:00", "4:00:00", "0:0:61", "1-0", "1-2:3", "2-12:00:00", "0", "UNLIMITED"];
        for time in right {
            assert_eq!(parse_time(time).as_deref(), Ok(time));
        }
        for time in
            ["", "abc", "1h", "4:00:00:00", "1-", "-1", "1:", ":1", "1-2-3", "1.5", "1 2", "9999999", "2\n"]
        {
            assert!(parse_time(time).unwrap_err().starts_with("must be a time"), "{time}");
        }
        for time in ["1", "1:00", "0:59", "0:01:00"] {
            assert!(parse_time(time).unwrap_err().starts_with("must be at least 2 minutes"), "{time}");
        }
    }

    #[test]
    fn a_partition_is_a_word() {
        for name in ["short", "short,long", "gpu.a100"] {
            assert_eq!(parse_partition(name).as_deref(), Ok(name));
        }
        for name in ["", "a b", "a\nb", "--time=1", "a\u{7}"] {
            assert!(parse_partition(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn options_of_sbatch_are_words_that_do_not_undo_the_jobs() {
        for option in
            ["--account=lab", "-Alab", "--comment=it's \"so\"", "--dependency=after:7", "--wait-all-nodes=1"]
        {
            assert_eq!(parse_sbatch(option).as_deref(), Ok(option));
        }
        for option in ["", "-", "--", "lab", "--account=lab\n#SBATCH --x", "--=1"] {
            assert!(parse_sbatch(option).unwrap_err().contains("in one word"), "{option:?}");
        }
        for option in [
            "--array=0-3",
            "--arr=0-3",
            "-a0-3",
            "-c4",
            "--cpus-per-task=4",
            "-D/x",
            "--wait",
            "--no-requeue",
        ] {
            assert!(parse_sbatch(option).unwrap_err().starts_with("must not be --"), "{option:?}");
        }
    }

    #[test]
    fn a_path_is_a_line_of_a_script() {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(absolute("--x", Path::new("/a b")).unwrap(), "/a b");
        for path in [Path::new("a\nb"), Path::new(std::ffi::OsStr::from_bytes(b"a\xff"))] {
            assert!(absolute("--x", path).unwrap_err().message().starts_with("--x: must be text"));
        }
    }
}
