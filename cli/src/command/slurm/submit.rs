//! `hebbian slurm submit`

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hebbian_proto::v1;
use hebbian_shared::limits::{PEM_BYTES_MAX, SLURM_WORKERS_MAX};
use hebbian_shared::spec::RunSpec;
use hebbian_worker::session::FILE_PREFIX;
use tonic::transport::Endpoint;

use super::place::Place;
use super::script::{COORDINATOR, Settings, WORKER};
use super::tend::{self, Tended};
use super::{PATIENCE, Workers, options, patience, slurm};
use crate::client::{Client, ClientArguments};
use crate::command::{LogArguments, block_on, fresh_request_id, read_spec};
use crate::credentials::{ClientCredentials, ClientToken};
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
/// is shared, certificates travel with the job, and this command stays until the run has ended. Unless that coordinator's journal is in a
/// database or on a shared disk, losing its machine loses what is newer than its last backup. With --run a run that is there gets workers again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian slurm submit my.toml --max 8 --threads 16 --time 4:00:00 --partition short
  hebbian slurm submit my.toml --min 2 --max 40               as many workers as the run has work for
  hebbian slurm submit my.toml --print                        the scripts, to read or to change
  hebbian slurm submit my.toml -- --account=lab --qos=low     further options of sbatch
  hebbian slurm submit my.toml --coordinator https://login1:7420 --tls-ca ca.pem \\
      --tls-certificate client.pem --tls-key client-key.pem   beside a coordinator that runs on the login node
  hebbian slurm submit --run my-spec-name --coordinator ..    new workers for a run that has lost its own")]
pub(super) struct Arguments {
    /// The run spec; `-` reads it from standard input.
    #[arg(required_unless_present = "run")]
    spec: Option<PathBuf>,
    /// With --coordinator, in place of a spec: a run that is there and has not ended: its id, the beginning of its id, its group and seed as
    /// GROUP/SEED, or its spec's name.
    #[arg(long, value_name = "RUN", requires = "coordinator", conflicts_with_all = ["spec", "directory"])]
    run: Option<String>,
    /// Exactly so many workers: --min and --max at once.
    #[arg(long = "workers", value_name = "N", conflicts_with_all = ["min", "max"],
          value_parser = clap::value_parser!(u32).range(1..=SLURM_WORKERS_MAX as i64))]
    exactly: Option<u32>,
    #[command(flatten)]
    workers: Workers,
    /// Walltime of the jobs, as Slurm takes it, at least 2 minutes; all go on after it.
    #[arg(long, value_name = "TIME", default_value = "1:00:00", value_parser = options::parse_time, allow_hyphen_values = true)]
    time: String,
    /// The partition of the jobs [default: the cluster's].
    #[arg(long, value_name = "NAME", value_parser = options::parse_partition, allow_hyphen_values = true)]
    partition: Option<String>,
    /// Where journal, certificates, logs and result go, on a disk that all nodes share [default: hebbian-NAME, by the spec's name]. The
    /// same directory again goes on with its run.
    #[arg(long = "directory", value_name = "DIR")]
    place: Option<PathBuf>,
    /// The program on the nodes [default: this one].
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Judge all as if it were submitted, print the scripts, and submit nothing.
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
    /// Further options of `sbatch`, for all jobs; they win over those of this command.
    #[arg(last = true, value_name = "OPTION", value_parser = options::parse_sbatch)]
    sbatch: Vec<String>,
}

/// What stands for the number of the coordinator's job in scripts that are printed.
const JOB: &str = "@JOB@";

pub(super) fn execute(mut arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    if let Some(workers) = arguments.exactly {
        (arguments.workers.min, arguments.workers.max) = (workers, workers);
    }
    arguments.workers.check()?;
    let patience = patience()?;
    let data = log.data_store(&arguments.data)?;
    let spec = match &arguments.spec {
        Some(path) => {
            let mut spec = read_spec(path, None)?;
            complete(&mut spec, &data)?;
            Some(spec)
        }
        None => None,
    };
    match (&arguments.coordinator, spec) {
        (Some(coordinator), spec) => beside(&arguments, coordinator, spec, patience),
        (None, Some(spec)) => alone(&arguments, &spec),
        (None, None) => Err(Failure::bad_input("SPEC: must be given")),
    }
}

impl Arguments {
    /// What both scripts are told. Of Slurm's options the last one counts: `own` ones, then those of the user.
    fn settings(&self, own: &[String]) -> Result<Settings, Failure> {
        let program = match &self.program {
            // A name without a slash is looked for on the nodes.
            Some(program) if program.components().count() == 1 => options::text("--program", program)?,
            Some(program) => options::absolute("--program", program)?,
            None => {
                let program = std::env::current_exe().map_err(|error| {
                    Failure::failed(format_args!("this program's path is not known: {error}"))
                })?;
                options::text("--program", &program)?
            }
        };
        if Path::new(&program).is_dir() {
            return Err(Failure::bad_input(format_args!(
                "--program: {program} is a directory; name the program in it"
            )));
        }
        let partition = self.partition.iter().map(|name| format!("--partition={name}")).collect::<Vec<_>>();
        Ok(Settings::default()
            .option(format!("--time={}", self.time))
            .options(&partition)
            .options(own)
            .options(&self.sbatch)
            .variable("HEBBIAN", program)
            .variable(PATIENCE, patience()?.as_secs().to_string()))
    }

    /// Where the logs of an array's workers are: where the last option says, or in this directory.
    fn logs(&self, array: &str) -> String {
        let named = |option: &String| {
            option.strip_prefix("--output=").or_else(|| option.strip_prefix("-o")).map(str::to_owned)
        };
        self.sbatch.iter().rev().find_map(named).unwrap_or_else(|| {
            let here = std::env::current_dir();
            tend::customary_logs(
                array,
                &here.map_or_else(|_| ".".to_owned(), |here| here.display().to_string()),
            )
        })
    }

    fn worker(&self, own: &[String]) -> Result<Settings, Failure> {
        let Workers { max, threads, .. } = self.workers;
        let array = [format!("--array=0-{}%{max}", max - 1), format!("--cpus-per-task={threads}")];
        self.settings(&[&array, own].concat())
    }

    /// The script of the coordinator's job.
    fn coordinator_script(&self, place: &Place) -> Result<String, Failure> {
        let Workers { min, max, threads } = self.workers;
        let own = [format!("--chdir={}", place.text()), format!("--output={}", place.log("coordinator.log"))];
        let mut settings = self
            .settings(&own)?
            .variable("HEBBIAN_DIRECTORY", place.text())
            .variable("HEBBIAN_TEND", format!("--min {min} --max {max} --threads {threads}"));
        if let Some(data) = &self.data.directory {
            settings = settings.variable("HEBBIAN__STORAGE__DATA", options::absolute("--data", data)?);
        }
        Ok(settings.fill(COORDINATOR))
    }

    /// The script of its workers. They come after the coordinator, so that they do not take the place that it needs.
    fn worker_script(&self, place: &Place, job: &str) -> Result<String, Failure> {
        let own = [
            format!("--dependency=after:{job}"),
            "--nice=100".to_owned(),
            format!("--chdir={}", place.text()),
            format!("--output={}", place.log("worker-%a.log")),
        ];
        let mut settings = self
            .worker(&own)?
            .variable("HEBBIAN_JOB", job)
            .variable("HEBBIAN_COORDINATOR", format!("{FILE_PREFIX}{}", place.at("coordinator")))
            .variable("HEBBIAN_TLS_CA", place.at("certs/ca.pem"))
            .variable("HEBBIAN_TLS_CERTIFICATE", place.at("certs/client.pem"))
            .variable("HEBBIAN_TLS_KEY", place.at("certs/client-key.pem"));
        if let Some(data) = &self.data.directory {
            settings = settings.variable("HEBBIAN__WORKER__DATA", options::absolute("--data", data)?);
        }
        Ok(settings.fill(WORKER))
    }
}

/// With a coordinator as a job.
fn alone(arguments: &Arguments, spec: &RunSpec) -> Result<(), Failure> {
    arguments
        .credentials
        .check_unused("without --coordinator: every directory has certificates of its own")?;
    let place = Place::new(arguments.place.as_deref(), spec)?;
    let coordinator = arguments.coordinator_script(&place)?;
    let printed = arguments.worker_script(&place, JOB)?;
    place.check(spec, !arguments.print)?;
    if arguments.print {
        let directory = shell_word(place.text());
        return render::out(&format!(
            "# The directory, on a disk that all nodes share; a coordinator whose node is lost goes on from it:\n\
             #   mkdir -p -m 700 {directory} && cd {directory} && rm -f workers coordinator\n\
             #   hebbian certs --out certs, the spec as spec.toml, and the two scripts below as files\n\
             #   job=$(sbatch --parsable coordinator.sh)\n\
             #   sed \"s/{JOB}/${{job%;*}}/\" worker.sh | sbatch --parsable | cut -d ';' -f 1 >workers\n\
             \n# worker.sh\n{printed}\n# coordinator.sh\n{coordinator}"
        ));
    }
    place.prepare(spec)?;
    let job = submit(&coordinator)?;
    let array = arguments.worker_script(&place, &job).and_then(|worker| submit(&worker)).and_then(|array| {
        place.name_workers(&array).inspect_err(|_| give_back(&array))?;
        Ok(array)
    });
    let array = array.inspect_err(|_| give_back(&job))?;
    render::note(&format!(
        "submitted the coordinator as job {job} and its workers as array {array}; {} has the journal, and genome.json at the end. All nodes \
         must share its disk: without, the run cannot begin. A coordinator whose node is lost goes on from there; if the directory is lost, \
         so is the run",
        place.text()
    ));
    let status = Paint::stderr().command(&format!(
        "HEBBIAN_TLS_CA={ca} HEBBIAN_TLS_CERTIFICATE={certificate} HEBBIAN_TLS_KEY={key} hebbian watch {name} --coordinator {FILE_PREFIX}{file}",
        ca = shell_word(&place.at("certs/ca.pem")),
        certificate = shell_word(&place.at("certs/client.pem")),
        key = shell_word(&place.at("certs/client-key.pem")),
        name = shell_word(&spec.name),
        file = shell_word(&place.at("coordinator")),
    ));
    render::note(&format!("follow it with {status}"));
    render::note(&format!("end it all with {}", Paint::stderr().command(&format!("scancel {job} {array}"))));
    render::out(&format!("{job}\n{array}\n"))
}

/// What a coordinator that is there already does not protect from.
const RISK: &str = "unless this coordinator's journal is in a database or on a shared disk, losing its machine loses what is newer than its last \
                    backup";

/// Beside a coordinator that is there: a run of a spec, or the one that the arguments name.
fn beside(
    arguments: &Arguments,
    coordinator: &str,
    spec: Option<RunSpec>,
    patience: Duration,
) -> Result<(), Failure> {
    let coordinator = reachable(arguments, coordinator)?;
    let tls = &arguments.credentials.tls;
    let mut worker = arguments.worker(&[])?.variable("HEBBIAN_COORDINATOR", coordinator.clone());
    // What is printed holds no key.
    let files: [(&'static str, &'static str, &str, &Option<PathBuf>); 3] = [
        ("HEBBIAN_PEM_CA", "HEBBIAN_TLS_CA", "--tls-ca", &tls.ca),
        ("HEBBIAN_PEM_CERTIFICATE", "HEBBIAN_TLS_CERTIFICATE", "--tls-certificate", &tls.certificate),
        ("HEBBIAN_PEM_KEY", "HEBBIAN_TLS_KEY", "--tls-key", &tls.key),
    ];
    for (pem, path, field, file) in files {
        let Some(file) = file else { continue };
        worker = if arguments.print {
            worker.variable(path, options::absolute(field, file)?)
        } else {
            worker.variable(pem, files::read_text(file, PEM_BYTES_MAX)?.trim_end())
        };
    }
    if let Some(file) = &arguments.worker_token_file {
        worker = worker.variable("HEBBIAN_TOKEN_FILE", options::absolute("--worker-token-file", file)?);
    }
    if arguments.credentials.token.plaintext {
        worker = worker.variable("HEBBIAN__WORKER__INSECURE", "true");
    }
    let worker = worker.fill(WORKER);
    render::note(RISK);
    if arguments.print {
        return render::out(&worker);
    }
    let credentials = arguments.credentials.clone();
    let client = ClientArguments { coordinator, timeout: Duration::from_secs(10), credentials };
    block_on(async {
        let connected = Client::connect_when_led(&client).await?;
        let (run, array, begun) = if let Some(spec) = spec {
            let array = submit(&worker)?;
            let weight = hebbian_shared::dispatch::WEIGHT_DEFAULT;
            let run = connected.create(spec, fresh_request_id(), String::new(), weight).await;
            (run.inspect_err(|_| give_back(&array))?, array, "created")
        } else {
            let run = unfinished(&connected, arguments.run.as_deref().unwrap_or_default()).await?;
            (run, submit(&worker)?, "found")
        };
        let id = run.id();
        let Workers { min, max, threads } = arguments.workers;
        render::note(&format!(
            "{begun} run {id}, and submitted its workers as array {array}. This command stays until the run has ended, and gives the nodes back; \
             if it is stopped, `hebbian slurm tend {id} --array {array} --min {min} --max {max} --threads {threads}` with the same coordinator \
             does. `hebbian cancel {id}` ends it all"
        ));
        render::out(&format!("{id}\n{array}\n"))?;
        let (logs, again) = (arguments.logs(&array), tend::again(&client, &run));
        let workers = arguments.workers;
        let tended = Tended { client: &client, run, array, workers, patience, logs, again };
        tend::until_the_end(&tended, None).await
    })
}

/// A run that workers are wanted for.
async fn unfinished(client: &Client, named: &str) -> Result<v1::Run, Failure> {
    let run = client.find(named).await?;
    if !run.is_final() {
        return Ok(run);
    }
    let state = render::run::state_name(run.state.as_ref());
    Err(Failure::bad_input(format_args!("--run: run {} needs no workers: it is {state}", run.id()))
        .hint("`hebbian list` shows the runs that go on"))
}

/// The addresses of a coordinator as both the nodes and this command reach it.
fn reachable(arguments: &Arguments, coordinator: &str) -> Result<String, Failure> {
    let field = "--coordinator";
    let Arguments { credentials, worker_token_file, .. } = arguments;
    if credentials.token.file.is_some()
        && worker_token_file.is_none()
        && credentials.tls.certificate.is_none()
    {
        return Err(Failure::bad_input(
            "--worker-token-file: must be given with --token-file: workers show a token of their own",
        )
        .hint("make one by `hebbian token create NAME --role worker`, into a file that all nodes share"));
    }
    let mut addresses = Vec::new();
    for address in coordinator.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        addresses.push(match address.strip_prefix(FILE_PREFIX) {
            Some(path) => format!("{FILE_PREFIX}{}", options::absolute(field, Path::new(path))?),
            None => address.to_owned(),
        });
    }
    let token = ClientToken { file: worker_token_file.clone(), ..credentials.token.clone() };
    ClientCredentials { token, ..credentials.clone() }.coordinators(field, &addresses)?;
    let (endpoints, _) = credentials.endpoints(field, &addresses)?;
    if let Some(host) = endpoints.iter().find_map(own_host) {
        render::note(&format!(
            "{field}: {host} is the machine itself to each node: only workers on this one reach the coordinator"
        ));
    }
    Ok(addresses.join(","))
}

/// The host of an address that means another machine on each machine.
fn own_host(endpoint: &Endpoint) -> Option<&str> {
    let host = endpoint.uri().host()?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    (host == "localhost" || address.is_ok_and(|address| address.is_loopback())).then_some(host)
}

/// Takes a job back whose submission has not come to its end; why not is told already.
fn give_back(job: &str) {
    if let Err(failure) = slurm("scancel", &[job], "") {
        render::note(&format!("job {job} stays: {}", failure.message()));
    }
}

/// Submits a script; the job's number.
fn submit(script: &str) -> Result<String, Failure> {
    let said = slurm("sbatch", &["--parsable"], script)?;
    let job: String = said.trim().chars().take_while(char::is_ascii_digit).collect();
    if job.is_empty() {
        return Err(Failure::failed(format_args!("sbatch: printed no job's number: {said}")));
    }
    Ok(job)
}
