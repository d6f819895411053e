//! `hebbian slurm submit`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hebbian_shared::limits::{PEM_BYTES_MAX, SLURM_WORKERS_MAX};
use hebbian_shared::spec::RunSpec;

use super::script::{COORDINATOR, Settings, WORKER};
use super::{Workers, slurm, tend};
use crate::client::{Client, ClientArguments};
use crate::command::{LogArguments, block_on, certs, fresh_request_id, read_spec};
use crate::credentials::ClientCredentials;
use crate::data::{DataArguments, complete};
use crate::failure::Failure;
use crate::files;
use crate::render::text::shell_word;
use crate::render::{self, Paint};

/// Submit a run: a coordinator as a small job and workers as an array, with TLS between them, and nothing to set up before.
///
/// Workers whose time is over finish what they have begun and go into the queue again, and so does the coordinator. The result has
/// the same bits as that of `hebbian run`. At its end the nodes are given back, and genome.json is in the directory. The directory must
/// be on a disk that all nodes share: it has the journal, and a coordinator whose node is lost goes on from it on another node.
///
/// With --coordinator the runs are kept by a coordinator that is there already, on the login node for example: then no disk
/// is shared, certificates travel with the job, and this command stays until the run has ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian slurm submit my.toml --max 8 --threads 16 --time 4:00:00 --partition short
  hebbian slurm submit my.toml --min 2 --max 40               as many workers as the run has work for
  hebbian slurm submit my.toml --print                        the scripts, to read or to change
  hebbian slurm submit my.toml -- --account=lab --qos=low     further options of sbatch
  hebbian slurm submit my.toml --coordinator https://login1:7420 --tls-ca ca.pem \\
      --tls-certificate client.pem --tls-key client-key.pem   beside a coordinator that runs on the login node")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input.
    spec: PathBuf,
    /// Exactly so many workers: --min and --max at once.
    #[arg(long = "workers", value_name = "N", conflicts_with_all = ["min", "max"],
          value_parser = clap::value_parser!(u32).range(1..=SLURM_WORKERS_MAX as i64))]
    exactly: Option<u32>,
    #[command(flatten)]
    workers: Workers,
    /// Walltime of the jobs, as Slurm takes it; all go on after it.
    #[arg(long, value_name = "TIME", default_value = "1:00:00")]
    time: String,
    /// The partition of the jobs [default: the cluster's].
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Where journal, certificates, logs and result go, on a disk that all nodes share [default: hebbian-NAME, by the spec's name]. The
    /// same directory again goes on with its run.
    #[arg(long = "directory", value_name = "DIR")]
    place: Option<PathBuf>,
    /// The program on the nodes [default: this one].
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print the scripts and submit nothing.
    #[arg(long)]
    print: bool,
    /// A coordinator that is there already, as the nodes reach it; without it, the coordinator is a job.
    #[arg(long, value_name = "URL[,URL]", conflicts_with = "place")]
    coordinator: Option<String>,
    /// With --coordinator: a file that holds the workers' token, on a disk that all nodes share.
    #[arg(long, value_name = "FILE", requires = "coordinator", help_heading = "Access")]
    worker_token_file: Option<PathBuf>,
    #[command(flatten)]
    credentials: ClientCredentials,
    #[command(flatten)]
    data: DataArguments,
    /// Further options of `sbatch`, for all jobs.
    #[arg(last = true, value_name = "OPTION")]
    sbatch: Vec<String>,
}

pub(super) fn execute(mut arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    if let Some(workers) = arguments.exactly {
        (arguments.workers.min, arguments.workers.max) = (workers, workers);
    }
    arguments.workers.check()?;
    if let Some(option) =
        arguments.sbatch.iter().find(|option| !option.starts_with('-') || option.contains(['\n', '"']))
    {
        return Err(Failure::bad_input(format_args!("`{option}` is not an option of sbatch"))
            .hint("write each in one word, for example --account=lab"));
    }
    let data = log.data_store(&arguments.data)?;
    let mut spec = read_spec(&arguments.spec, None)?;
    complete(&mut spec, &data)?;
    match arguments.coordinator.clone() {
        Some(coordinator) => beside(&arguments, coordinator, spec),
        None => alone(&arguments, &spec),
    }
}

impl Arguments {
    /// What both scripts are told.
    fn common(&self) -> Result<Settings, Failure> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(|error| {
                Failure::failed(format_args!("this program's path is not known: {error}"))
            })?,
        };
        let partition = self.partition.iter().map(|name| format!("--partition={name}")).collect::<Vec<_>>();
        Ok(Settings::default()
            .option(format!("--time={}", self.time))
            .options(&partition)
            .options(&self.sbatch)
            .variable("HEBBIAN", program.to_string_lossy()))
    }

    fn worker(&self) -> Result<Settings, Failure> {
        let Workers { max, threads, .. } = self.workers;
        Ok(self
            .common()?
            .option(format!("--array=0-{}%{max}", max - 1))
            .option(format!("--cpus-per-task={threads}")))
    }
}

/// With a coordinator as a job.
fn alone(arguments: &Arguments, spec: &RunSpec) -> Result<(), Failure> {
    if arguments.credentials.tls.first_flag().is_some() || arguments.credentials.token.file.is_some() {
        return Err(Failure::bad_input(
            "--tls-ca, --tls-certificate, --tls-key and --token-file need --coordinator",
        )
        .hint("without it every directory has certificates of its own"));
    }
    let directory = arguments
        .place
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("hebbian-{}", spec.name.replace('/', "-"))));
    let directory = std::path::absolute(&directory)
        .map_err(|error| Failure::bad_input(format_args!("--directory: {error}")))?;
    let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let Workers { min, max, threads } = arguments.workers;
    let coordinator = arguments
        .common()?
        .option(format!("--chdir={}", directory.display()))
        .option(format!("--output={}", at("coordinator.log")))
        .variable("HEBBIAN_DIRECTORY", directory.to_string_lossy())
        .variable("HEBBIAN_TEND", format!("--min {min} --max {max} --threads {threads}"))
        .fill(COORDINATOR);
    let worker = arguments
        .worker()?
        .option(format!("--chdir={}", directory.display()))
        .option(format!("--output={}", at("worker-%a.log")))
        .variable("HEBBIAN_COORDINATOR", format!("file:{}", at("coordinator")))
        .variable("HEBBIAN_TLS_CA", at("certs/ca.pem"))
        .variable("HEBBIAN_TLS_CERTIFICATE", at("certs/client.pem"))
        .variable("HEBBIAN_TLS_KEY", at("certs/client-key.pem"))
        .fill(WORKER);
    if arguments.print {
        let place = shell_word(&directory.to_string_lossy());
        return render::out(&format!(
            "# The directory, on a disk that all nodes share:\n#   mkdir -p {place} && cd {place}\n\
             #   hebbian certs, and the spec as spec.toml\n\
             #   sbatch --parsable worker.sh >workers && sbatch coordinator.sh\n\
             \n# worker.sh\n{worker}\n# coordinator.sh\n{coordinator}"
        ));
    }
    if directory.join("coordinator").exists() {
        return Err(Failure::bad_input(format_args!(
            "--directory: {} has a run that goes on",
            directory.display()
        ))
        .hint(format_args!(
            "name another directory, or remove the file {} if its jobs are gone",
            at("coordinator")
        )));
    }
    fs::create_dir_all(&directory)
        .map_err(|error| Failure::writing(&directory, "--directory: cannot be created", &error))?;
    files::write(&directory.join("spec.toml"), spec.to_toml())?;
    if !directory.join("certs/client.pem").exists() {
        certs::make(&directory.join("certs"), &[])?;
    }
    let array = submit(&worker, &[])?;
    let submitted = files::write(&directory.join("workers"), format!("{array}\n"))
        .and_then(|()| submit(&coordinator, &[]));
    let job = match submitted {
        Ok(job) => job,
        Err(failure) => {
            // Workers without a coordinator would wait for ever.
            slurm("scancel", &[&array], "")?;
            return Err(failure);
        }
    };
    render::note(&format!(
        "submitted the coordinator as job {job} and its workers as array {array}; {} has the journal, and genome.json at the end. If the nodes \
         do not share it, the run cannot begin; if it is lost, so is the run",
        directory.display()
    ));
    let status = Paint::stderr().command(&format!(
        "HEBBIAN_TLS_CA={ca} HEBBIAN_TLS_CERTIFICATE={certificate} HEBBIAN_TLS_KEY={key} hebbian watch {name} --coordinator file:{file}",
        ca = shell_word(&at("certs/ca.pem")),
        certificate = shell_word(&at("certs/client.pem")),
        key = shell_word(&at("certs/client-key.pem")),
        name = shell_word(&spec.name),
        file = shell_word(&at("coordinator")),
    ));
    render::note(&format!("follow it with {status}"));
    render::note(&format!("end it with scancel {job}, which ends the workers too"));
    render::out(&format!("{job}\n{array}\n"))
}

/// Beside a coordinator that is there.
fn beside(arguments: &Arguments, coordinator: String, spec: RunSpec) -> Result<(), Failure> {
    let pem = |path: &Option<PathBuf>| match path {
        Some(path) => files::read_text(path, PEM_BYTES_MAX).map(|text| text.trim_end().to_owned()),
        None => Ok(String::new()),
    };
    let absolute = |path: &Option<PathBuf>| {
        let path =
            path.as_deref().map(|path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let tls = &arguments.credentials.tls;
    let mut worker = arguments.worker()?.variable("HEBBIAN_COORDINATOR", coordinator.clone());
    // What is printed holds no key.
    let files: [(&'static str, &'static str, &Option<PathBuf>); 3] = [
        ("HEBBIAN_PEM_CA", "HEBBIAN_TLS_CA", &tls.ca),
        ("HEBBIAN_PEM_CERTIFICATE", "HEBBIAN_TLS_CERTIFICATE", &tls.certificate),
        ("HEBBIAN_PEM_KEY", "HEBBIAN_TLS_KEY", &tls.key),
    ];
    for (text, path, file) in files {
        if file.is_some() {
            worker = if arguments.print {
                worker.variable(path, absolute(file))
            } else {
                worker.variable(text, pem(file)?)
            };
        }
    }
    if arguments.worker_token_file.is_some() {
        worker = worker.variable("HEBBIAN_TOKEN_FILE", absolute(&arguments.worker_token_file));
    }
    let worker = worker.fill(WORKER);
    if arguments.print {
        return render::out(&worker);
    }
    let credentials = arguments.credentials.clone();
    let client = ClientArguments { coordinator, timeout: Duration::from_secs(10), credentials };
    block_on(async {
        let run = {
            let client = Client::connect_when_led(&client).await?;
            let weight = hebbian_shared::dispatch::WEIGHT_DEFAULT;
            client.create(spec, fresh_request_id(), String::new(), weight).await?
        };
        let array = submit(&worker, &[])?;
        render::note(&format!("created run {}, and submitted its workers as array {array}", run.id()));
        render::out(&format!("{}\n{array}\n", run.id()))?;
        tend::until_the_end(&client, run.name, &array, arguments.workers, None).await
    })
}

/// Submits a script; the job's number.
fn submit(script: &str, options: &[&str]) -> Result<String, Failure> {
    let said = slurm("sbatch", &[&["--parsable"], options].concat(), script)?;
    let job: String = said.trim().chars().take_while(char::is_ascii_digit).collect();
    if job.is_empty() {
        return Err(Failure::failed(format_args!("sbatch: printed no job's number: {said}")));
    }
    Ok(job)
}
