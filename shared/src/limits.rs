//! Every bound that a peer, a file or a spec can meet, with its unit and its reason.
//!
//! What belongs to one bound is one line here: the constant, its documentation and its row in the table of `docs/SECURITY.md`, which a
//! test prints. Relations between bounds are checked when this crate is compiled. Constants of an algorithm (how far a step size may
//! change) are no bounds and stand with the algorithm; what an operator may set has its default here.

use std::time::Duration;

/// Makes the constants and, for the test that prints them, the table.
macro_rules! limits {
    ($( [$section:literal] $( $(#[doc = $says:literal])+ $name:ident: $kind:ident = $value:expr, $unit:literal; )+ )+) => {
        $( $( $(#[doc = $says])+ #[doc = concat!("\n\nUnit: ", $unit, ".")] pub const $name: $kind = $value; )+ )+

        #[cfg(test)]
        const TABLE: &[(&str, &[tests::Limit])] = &[
            $( ($section, &[$( tests::Limit {
                name: stringify!($name),
                says: &[$($says),+],
                value: tests::Value::$kind($name),
                unit: $unit,
            } ),+]) ),+
        ];
    };
}

limits! {
    ["specs"]
    /// Text of a spec, in a file or in a message: room for the covariance of 500 dimensions to start from.
    SPEC_BYTES_MAX: u64 = 4 << 20, "bytes";
    /// Name of a run.
    RUN_NAME_MAX: usize = 64, "characters";
    /// Candidates of a generation.
    POPULATION_SIZE_MAX: u32 = 65_536, "candidates";
    /// Tasks of a generation, or of a validation.
    TASKS_PER_GENERATION_MAX: u32 = 4096, "tasks";
    /// Episodes of a generation: all of them are in the coordinator's memory.
    EPISODES_PER_GENERATION_MAX: u64 = 4_000_000, "episodes";
    /// Numbers of the gradients of a generation, where the strategy wants any: in memory until it closes, their sums in one record.
    GENERATION_GRADIENTS_MAX: u64 = 16 << 20, "numbers";
    /// Arithmetic of an episode: minutes of one core.
    EPISODE_MULTIPLICATIONS_MAX: f64 = 1e13, "multiplications";
    /// Updates of a phase, and of a validation.
    UPDATES_MAX: u32 = 100_000, "updates";
    /// Phases of the unroll, points of measurement.
    PHASES_MAX: usize = 64, "phases or points";
    /// Examples of a batch or of a query set.
    BATCH_SIZE_MAX: u32 = 16_384, "examples";
    /// Dimension of a search that keeps a full covariance: its matrix has 800 MB.
    FULL_COVARIANCE_DIMENSION_MAX: usize = 10_000, "numbers";
    /// Dimension of such a search of a run: a matrix has 50 MB, and the state that is stored after each generation 75 MB.
    RUN_COVARIANCE_DIMENSION_MAX: usize = 2500, "numbers";
    /// Numbers of a generation's candidates, all together: 128 MiB, of which there are a few copies for a moment.
    SEARCH_NUMBERS_MAX: u64 = 16 << 20, "numbers";
    /// Smallest step size or learning rate: its square is still a number to compute with.
    STEP_SIZE_MIN: f64 = 1e-100, "dimensionless";
    /// Largest step size or learning rate.
    STEP_SIZE_MAX: f64 = 1e6, "dimensionless";
    /// Size of the numbers that a search starts from.
    START_NUMBER_MAX: f64 = 1e100, "dimensionless";
    /// States of a neuron and a synapse.
    STATES_MAX: u8 = 16, "states";
    /// Neurons that a layer of synapses comes from, in a rule's reference.
    FAN_IN_MAX: u32 = 1_000_000, "neurons";
    /// Updates from one backward pass to the next.
    SUPERVISED_EVERY_MAX: u32 = 100_000, "updates";
    /// Hidden layers of a network.
    HIDDEN_LAYERS_MAX: usize = 16, "layers";
    /// Neurons of a hidden layer.
    HIDDEN_NEURONS_MAX: u32 = 4096, "neurons";
    /// Shapes of networks in a spec.
    SHAPES_MAX: usize = 16, "shapes";
    /// Synapses of a network in one state.
    SYNAPSES_MAX: f64 = 16e6, "synapses";
    /// Memory of a network with its batch: 1 GiB in 32 bits, for a moment twice that.
    NETWORK_NUMBERS_MAX: f64 = 268_435_456.0, "numbers";
    /// What a gradient keeps of updates: 256 MiB in 32 bits. Parts of longer unrolls are computed twice, and the synapses at their
    /// starts may take as much again.
    GRADIENT_NUMBERS_MAX: usize = 64 << 20, "numbers";
    /// Data sets of a spec.
    DATA_SETS_MAX: usize = 16, "data sets";
    /// Name of a data set.
    DATA_SET_NAME_MAX: usize = 32, "characters";
    /// Side of an image as networks meet it.
    IMAGE_SIDE_MAX: u32 = 64, "pixels";
    /// Features of a table: as many inputs as the largest images have.
    FEATURES_MAX: u32 = 4096, "features";
    /// Shares of wrong labels, or factors of long tails, that tasks draw from.
    LABEL_NOISE_RATES_MAX: usize = 16, "numbers";
    /// Classes of a data set that tasks choose from, for the search and for judging each.
    TASK_CLASSES_MAX: usize = 256, "classes";
    /// Time of a run: ten years.
    RUN_TIME_S_MAX: u64 = 10 * 365 * 86_400, "s";
    /// Numbers of a population of `hebbian ask-tell`: 1 GiB.
    ASK_TELL_NUMBERS_MAX: usize = 1 << 27, "numbers";
    /// A field's path that an error shows; of a longer one its beginning.
    FIELD_SHOWN_MAX: usize = 200, "characters";
    /// What an error says is wrong with it.
    PROBLEM_SHOWN_MAX: usize = 2000, "characters";
    /// Parameters of an external problem.
    PARAMETERS_MAX: usize = 16_384, "parameters";
    /// Name of a parameter or of a score.
    PARAMETER_NAME_MAX: usize = 64, "characters";
    /// Whole numbers that a double holds exactly.
    WHOLE_NUMBER_MAX: f64 = 9_007_199_254_740_992.0, "dimensionless";
    /// Text of a fixed parameter.
    EXTERNAL_TEXT_BYTES_MAX: usize = 1024, "bytes";
    /// Named figures that an evaluation gives beside its value: a generation's figures hold them.
    EXTERNAL_SCORES_MAX: usize = 16, "scores";
    /// The shortest time that an evaluation may be given: below it nobody answers.
    EXTERNAL_TIME_LIMIT_S_MIN: f64 = 0.001, "s";
    /// Time that an evaluation may take: 30 days.
    EXTERNAL_TIME_LIMIT_S_MAX: f64 = 2_592_000.0, "s";

    ["evaluations and comparisons"]
    /// Examples that kernel ridge regression learns from; what comes after them is not learned.
    KERNEL_EXAMPLES_MAX: usize = 4096, "examples";
    /// Updates after which a score is measured.
    EVALUATION_UPDATES_MAX: u32 = 2000, "updates";
    /// Numbers of updates at which one evaluation measures.
    EVALUATION_POINTS_MAX: usize = 32, "points";
    /// Fresh tasks of each family.
    EVALUATION_TASKS_MAX: u32 = 100_000, "tasks";
    /// Genomes of one evaluation.
    EVALUATION_GENOMES_MAX: usize = 4096, "genomes";
    /// Scores of one evaluation: 1 GiB.
    EVALUATION_SCORES_MAX: u64 = 128 << 20, "scores";
    /// Episodes that a cluster is asked for together.
    CLUSTER_EVALUATION_EPISODES_MAX: u64 = 1 << 20, "episodes";
    /// Scores that a cluster is asked for together: 64 MiB of them may wait for a client that reads slowly.
    CLUSTER_EVALUATION_SCORES_MAX: u64 = 8 << 20, "scores";

    ["messages"]
    /// A message to the coordinator.
    COORDINATOR_MESSAGE_BYTES_MAX: usize = 16 << 20, "bytes";
    /// A message to a worker or a client.
    PEER_MESSAGE_BYTES_MAX: usize = 64 << 20, "bytes";
    /// Genomes of a batch.
    BATCH_GENOMES_MAX: usize = 65_536, "genomes";
    /// Episodes of a batch, settlements of a report.
    BATCH_EPISODES_MAX: usize = 65_536, "episodes";
    /// Numbers of a genome in a message.
    GENOME_VALUES_MAX: usize = 131_072, "numbers";
    /// A reason that a peer gives; senders cut theirs.
    REASON_BYTES_MAX: usize = 1024, "bytes";
    /// Name and version of a worker.
    NAME_BYTES_MAX: usize = 128, "bytes";
    /// External problems that a worker names.
    SERVED_PROBLEMS_MAX: usize = 64, "problems";
    /// A client's name for its creation of a run.
    REQUEST_ID_BYTES_MAX: usize = 128, "bytes";
    /// Name of a group of runs.
    GROUP_NAME_MAX: usize = 64, "characters";
    /// Compute threads of a worker or of a comparison.
    THREADS_MAX: u32 = 1024, "threads";
    /// Items of a page, if the client asks for so many.
    PAGE_SIZE_MAX: u32 = 500, "items";
    /// Figures of a closed generation.
    GENERATION_BYTES_MAX: usize = 6 << 10, "bytes";

    ["what a coordinator serves"]
    /// Runs, ended ones included.
    RUNS_MAX: usize = 10_000, "runs";
    /// Attached workers.
    WORKERS_MAX: usize = 20_000, "workers";
    /// Specs of more than 16 KiB that wait to be read, beside the one that is: one core reads, whatever is sent.
    SPECS_WAITING_MAX: usize = 8, "specs";
    /// Evaluations at a time.
    EVALUATIONS_MAX: usize = 16, "evaluations";
    /// Watchers of all runs together.
    WATCHERS_MAX: usize = 1024, "watchers";
    /// Messages that wait for the decisions, of workers and of clients each; senders wait.
    INBOX_LENGTH_MAX: usize = 4096, "messages";
    /// Messages that wait for one worker; one that takes none is detached.
    OUTBOX_LENGTH_MAX: usize = 1024, "messages";
    /// Messages that wait for one watcher; one that takes none is left behind.
    WATCH_LENGTH_MAX: usize = 64, "messages";
    /// Happenings to workers that are told of; the oldest go.
    EVENTS_MAX: usize = 64, "happenings";
    /// Why something happened, as it is told.
    EVENT_REASON_MAX: usize = 300, "characters";
    /// Notes of a run; the oldest go.
    NOTES_MAX: usize = 32, "notes";
    /// Workers of a run that are told apart where answers are checked, each with a snapshot from before its first one.
    CONTRIBUTORS_MAX: usize = 64, "workers";
    /// Silence of a worker that holds episodes, until it is detached.
    LEASE: Duration = Duration::from_millis(2500), "s";
    /// Silence of a worker that holds none, until it is detached.
    IDLE_LEASE: Duration = Duration::from_secs(40), "s";
    /// How often a worker that holds episodes must be heard.
    HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500), "s";
    /// How often a worker that holds none must be heard: a cluster that waits costs little.
    IDLE_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15), "s";
    /// First rest of a worker that others overtook with all that it held; doubled until it answers.
    REST_MIN: Duration = Duration::from_millis(100), "s";
    /// Longest rest of such a worker.
    REST_MAX: Duration = Duration::from_secs(10), "s";
    /// Computing time that is believed of an episode.
    COMPUTE_TIME_MAX: Duration = Duration::from_secs(24 * 3600), "s";
    /// Time of a drained worker to leave, interval of heartbeats.
    WAIT_MAX: Duration = Duration::from_secs(3600), "s";
    /// Time of a drained worker to leave if nobody says another one.
    DRAIN_WITHIN: Duration = Duration::from_secs(10), "s";
    /// Time that it may take longer, until it is detached.
    LEAVING_GRACE: Duration = Duration::from_secs(2), "s";

    ["tokens"]
    /// Tokens that a coordinator knows, revoked and expired ones included; the oldest of those make room.
    TOKENS_MAX: usize = 1024, "tokens";
    /// Name of a token.
    TOKEN_NAME_MAX: usize = 64, "characters";
    /// Time until a token expires: ten years.
    TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(3650 * 86_400), "s";
    /// The file in which a coordinator keeps hashes of tokens.
    TOKENS_FILE_BYTES_MAX: u64 = 1 << 20, "bytes";
    /// A file that holds a token, which a client or a worker reads.
    TOKEN_FILE_BYTES_MAX: u64 = 1 << 10, "bytes";
    ["connections"]
    /// Open connections, one of each worker and those of clients; further ones are closed at once.
    CONNECTIONS_MAX: usize = WORKERS_MAX + 4096, "connections";
    /// Connections that have not spoken yet (a TLS handshake, or HTTP/2's first words); further ones wait in the listen backlog.
    OPENING_MAX: usize = 4096, "connections";
    /// Listen backlog.
    LISTEN_BACKLOG: u32 = 4096, "connections";
    /// Time for those first words.
    OPENING_TIMEOUT: Duration = Duration::from_secs(3), "s";
    /// Time for a worker's hello.
    HELLO_TIMEOUT: Duration = Duration::from_secs(5), "s";
    /// Open requests of a connection: a worker needs one, a client few.
    STREAMS_PER_CONNECTION_MAX: u32 = 128, "requests";
    /// Headers of a request, all together.
    HEADERS_BYTES_MAX: u32 = 16 << 10, "bytes";
    /// Silence of a connection before it is asked for a sign of life.
    KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(16), "s";
    /// Time for that sign, until the connection is closed.
    KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2), "s";
    /// Reasons for which connections are refused that are logged, each once a second; of the others only their number.
    REFUSAL_REASONS_MAX: usize = 16, "reasons";
    /// Peers whose rates are remembered (an IPv4 address, an IPv6 /64); further ones share one.
    PEERS_MAX: usize = 16_384, "peers";
    /// Requests of a peer about runs and the cluster, in the long run.
    REQUEST_RATE_MAX: f64 = 500.0, "requests a second";
    /// Requests of a peer at once.
    REQUEST_BURST_MAX: f64 = 2000.0, "requests";
    /// Attachments of a peer, its requests for data sets alike, in the long run.
    ATTACH_RATE_MAX: f64 = 200.0, "requests a second";
    /// Attachments of a peer at once: all workers may come back from behind one address.
    ATTACH_BURST_MAX: f64 = 20_000.0, "requests";

    ["the live page and `/api`"]
    /// Connections at a time; further ones wait.
    PAGE_CONNECTIONS_MAX: usize = 256, "connections";
    /// Of them, those of one address; further ones are closed at once.
    PAGE_CONNECTIONS_OF_ONE_MAX: usize = 128, "connections";
    /// Head of a request.
    PAGE_HEAD_BYTES_MAX: usize = 16 << 10, "bytes";
    /// Time for it to arrive.
    PAGE_HEAD_TIMEOUT: Duration = Duration::from_secs(10), "s";
    /// What is sent with a request.
    PAGE_BODY_BYTES_MAX: usize = 64 << 10, "bytes";
    /// Time for that to arrive.
    PAGE_BODY_TIMEOUT: Duration = Duration::from_secs(10), "s";
    /// Runs that pages follow at a time, or show beside each other; the one that nobody has looked at for longest is left.
    PAGE_RUNS_FOLLOWED_MAX: usize = 16, "runs";
    /// Runs or workers that a page asks for.
    PAGE_ITEMS_MAX: u32 = 500, "items";
    /// Workers that a page shows one by one.
    PAGE_WORKERS_MAX: usize = 100, "workers";
    /// Numbers of the networks that learn while somebody waits for what a rule does.
    DEMONSTRATED_NUMBERS_MAX: f64 = 2e6, "numbers";

    ["data sets"]
    /// A data set that is sent: its four files as they are stored.
    DATA_SET_BYTES_MAX: u64 = 2 << 30, "bytes";
    /// A piece of it that a worker takes.
    DATA_SET_PIECE_BYTES_MAX: usize = 1 << 20, "bytes";
    /// A piece of it that a coordinator sends.
    DATA_SET_PIECE_BYTES: usize = 256 << 10, "bytes";
    /// Data sets that a coordinator sends at a time.
    DATA_SETS_SENT_MAX: usize = 16, "data sets";
    /// Time that a worker waits for its turn.
    DATA_SET_TURN_TIMEOUT: Duration = Duration::from_secs(60), "s";
    /// Time for a piece to be taken.
    DATA_SET_TAKEN_TIMEOUT: Duration = Duration::from_secs(30), "s";
    /// Time that a worker waits for a piece, its turn included.
    DATA_SET_PIECE_TIMEOUT: Duration = Duration::from_secs(90), "s";
    /// Elements of an IDX file, all together.
    IDX_BYTES_MAX: u64 = 1 << 30, "bytes";
    /// Size of a number of a data set: its square is still a number of 32 bits.
    DATA_SET_NUMBER_MAX: f64 = 1e18, "dimensionless";
    /// How far an input that is no byte may be from its training mean, once standardised; what is further counts as so far.
    STANDARDISED_MAX: f64 = 100.0, "deviations";
    /// A table or an archive of arrays that is added as a data set.
    TABLE_FILE_BYTES_MAX: u64 = 2 << 30, "bytes";
    /// An array, or the numbers of a table, in memory while it is added.
    TABLE_BYTES_MAX: usize = 512 << 20, "bytes";
    /// Header of an array in an archive.
    ARRAY_HEADER_BYTES_MAX: usize = 64 << 10, "bytes";
    /// An element of such an array: a text, of four bytes a character.
    ARRAY_ELEMENT_BYTES_MAX: usize = 4 * 256, "bytes";
    /// Classes of a data set: a label is one byte.
    CLASSES_MAX: usize = 256, "classes";
    /// Name of a class.
    CLASS_NAME_MAX: usize = 64, "characters";
    /// Side of an image in a file.
    SOURCE_SIDE_MAX: usize = 1024, "pixels";
    /// Inputs of a data set in memory: 512 MiB in 32 bits.
    DATA_SET_INPUTS_MAX: usize = 128 << 20, "numbers";
    /// Files of a directory that are looked at.
    DIRECTORY_ENTRIES_MAX: usize = 10_000, "files";

    ["what a worker holds"]
    /// Runs that a coordinator announces on one stream.
    ANNOUNCED_RUNS_MAX: usize = 10_000, "runs";
    /// Runs that a worker is prepared for at a time; the least recently used is prepared again when it is needed.
    PREPARED_RUNS_MAX: usize = 8, "runs";
    /// Episodes of a batch as the scheduler makes it.
    BATCH_LENGTH_MAX: u32 = 1024, "episodes";
    /// The genomes of a batch as the scheduler makes it: where they are long, it has fewer episodes.
    BATCH_GENOME_BYTES_MAX: usize = 32 << 20, "bytes";
    /// Episodes that a worker is given for each of its threads, however short they are.
    CREDIT_PER_THREAD_MAX: u32 = 2048, "episodes";
    /// Episodes that a worker is given that has answered none: two for each of its threads, but not more.
    NEWCOMER_EPISODES_MAX: u32 = 64, "episodes";
    /// Episodes that a worker is given in all.
    CREDIT_MAX: u32 = 1 << 17, "episodes";
    /// Episodes that a worker holds before it objects: its coordinator does not know what it does.
    EPISODES_HELD_MAX: usize = 1 << 18, "episodes";
    /// A report, in outcomes that are a fitness alone, unless one outcome is larger.
    REPORT_SIZE_MAX: usize = 4096, "outcomes";
    /// What a worker keeps, in such outcomes, for a coordinator that it cannot reach; the oldest go, and what they say is computed again.
    KEPT_SIZE_MAX: usize = 1 << 18, "outcomes";

    ["programs that evaluate objectives"]
    /// A line that a program writes to its standard output: the answers to a batch.
    PROGRAM_LINE_BYTES_MAX: usize = 16 << 20, "bytes";
    /// A line that it writes to its standard error; a longer one is told in pieces.
    PROGRAM_ERROR_LINE_MAX: usize = 1024, "bytes";
    /// Evaluations that it takes at once.
    PROGRAM_BATCH_MAX: u32 = 4096, "evaluations";
    /// Time for it to end when it is told to, until it is killed.
    PROGRAM_TERM_GRACE: Duration = Duration::from_secs(2), "s";
    /// First wait before one that broke is started again; doubled until it answers.
    PROGRAM_BACK_OFF_MIN: Duration = Duration::from_millis(100), "s";
    /// Longest such wait.
    PROGRAM_BACK_OFF_MAX: Duration = Duration::from_secs(10), "s";

    ["lines on standard error"]
    /// Log lines of one place in the program at once, debugging aside; of further ones only their number.
    LOG_LINES_AT_ONCE_MAX: u32 = 100, "lines";
    /// Log lines of one place in the program, in the long run.
    LOG_LINE_RATE_MAX: f64 = 2.0, "lines a second";
    /// Lines of a coordinator or a worker that wait for whoever should read them; further ones are dropped and counted.
    LINES_WAITING_MAX: usize = 4096, "lines";

    ["files and commands"]
    /// A configuration file.
    CONFIGURATION_BYTES_MAX: u64 = 1 << 20, "bytes";
    /// A genome file.
    GENOME_FILE_BYTES_MAX: u64 = 16 << 20, "bytes";
    /// The file of a search with ask and tell: its covariance is in it.
    SEARCH_FILE_BYTES_MAX: u64 = 4 << 30, "bytes";
    /// The report of a comparison.
    REPORT_FILE_BYTES_MAX: u64 = 256 << 20, "bytes";
    /// A certificate or a private key.
    PEM_BYTES_MAX: u64 = 1 << 20, "bytes";
    /// A file with addresses of coordinators.
    ADDRESS_FILE_BYTES_MAX: u64 = 4096, "bytes";
    /// What is read of the file beside a journal that says what was acknowledged last.
    WITNESS_BYTES_MAX: u64 = 256, "bytes";
    /// Least time between copies of a journal.
    BACKUP_INTERVAL_MIN: Duration = Duration::from_secs(1), "s";
    /// Workers of an array of Slurm: what Slurm takes as it comes (`MaxArraySize`).
    SLURM_WORKERS_MAX: u32 = 1000, "workers";
    /// Runs of one sweep.
    SWEEP_RUNS_MAX: u64 = 1000, "runs";
}

// A few heartbeats may be lost before a worker is detached.
const _: () = assert!(4 * HEARTBEAT_INTERVAL.as_millis() < LEASE.as_millis());
const _: () = assert!(2 * IDLE_HEARTBEAT_INTERVAL.as_millis() < IDLE_LEASE.as_millis());
const _: () = assert!(REST_MIN.as_millis() <= REST_MAX.as_millis());
// A silent connection is noticed while its worker's lease lasts.
const _: () =
    assert!(KEEP_ALIVE_INTERVAL.as_millis() + KEEP_ALIVE_TIMEOUT.as_millis() < IDLE_LEASE.as_millis());
// What one side makes, the other takes.
const _: () =
    assert!(BATCH_LENGTH_MAX as usize <= BATCH_EPISODES_MAX && BATCH_EPISODES_MAX <= BATCH_GENOMES_MAX);
const _: () = assert!(CREDIT_PER_THREAD_MAX <= CREDIT_MAX && (CREDIT_MAX as usize) < EPISODES_HELD_MAX);
const _: () = assert!(RUNS_MAX <= ANNOUNCED_RUNS_MAX);
const _: () = assert!(REPORT_SIZE_MAX <= BATCH_EPISODES_MAX && REPORT_SIZE_MAX <= KEPT_SIZE_MAX);
const _: () = assert!(DATA_SET_PIECE_BYTES <= DATA_SET_PIECE_BYTES_MAX);
const _: () = assert!(DATA_SET_PIECE_TIMEOUT.as_millis() >= DATA_SET_TURN_TIMEOUT.as_millis());
// A batch is one message, whatever its genomes, with 64 bytes around each episode's; and each genome fits a batch.
const _: () = assert!(BATCH_GENOME_BYTES_MAX + 64 * BATCH_LENGTH_MAX as usize <= PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(8 * GENOME_VALUES_MAX <= BATCH_GENOME_BYTES_MAX);
// One outcome, with a gradient as long as a genome and as many scores as points, is one message.
const _: () =
    assert!(8 * (GENOME_VALUES_MAX + EVALUATION_POINTS_MAX) + 1024 <= COORDINATOR_MESSAGE_BYTES_MAX);
// There may be an episode with a gradient, whatever the genome.
const _: () = assert!(GENOME_VALUES_MAX as u64 <= GENERATION_GRADIENTS_MAX);
// A report of nothing but the longest reasons, with 256 bytes around each, is one message; so is a spec.
const _: () = assert!(REPORT_SIZE_MAX * (REASON_BYTES_MAX + 256) <= COORDINATOR_MESSAGE_BYTES_MAX);
const _: () = assert!(SPEC_BYTES_MAX as usize <= COORDINATOR_MESSAGE_BYTES_MAX);
// A page of generations is a message that clients take which know nothing of these limits: gRPC's own is 4 MiB.
const _: () = assert!(PAGE_SIZE_MAX as usize * GENERATION_BYTES_MAX <= 4 << 20);
// What waits for all watchers together has its place in memory.
const _: () = assert!(2 * WATCHERS_MAX * WATCH_LENGTH_MAX * GENERATION_BYTES_MAX <= 1 << 30);
// Every genome that a spec can describe to a full covariance fits a message, and every spec's genome a genome file (25 bytes a number).
const _: () = assert!(FULL_COVARIANCE_DIMENSION_MAX <= GENOME_VALUES_MAX);
const _: () = assert!(25 * GENOME_VALUES_MAX as u64 <= GENOME_FILE_BYTES_MAX);
// The state of a search, with one and a half full matrices and as many injected points as a generation has candidates, is a value of SQLite
// (1e9 bytes), and with what is computed of it below 2 GB.
const _: () = assert!(
    8 * (3 * (RUN_COVARIANCE_DIMENSION_MAX as u64).pow(2) / 2
        + SEARCH_NUMBERS_MAX
        + 8 * GENOME_VALUES_MAX as u64)
        < 1_000_000_000
);
const _: () =
    assert!(8 * (10 * (RUN_COVARIANCE_DIMENSION_MAX as u64).pow(2) + 6 * SEARCH_NUMBERS_MAX) < 2_000_000_000);
// So much is promised.
const _: () = assert!(RUN_COVARIANCE_DIMENSION_MAX >= 2500 && GENOME_VALUES_MAX >= 100_000);
const _: () = assert!(64 * 100_000 <= SEARCH_NUMBERS_MAX);
// The smallest population of the longest genome is one.
const _: () = assert!(4 * GENOME_VALUES_MAX as u64 <= SEARCH_NUMBERS_MAX);
// Every generation has at least one candidate with all of its tasks.
const _: () = assert!(4 * TASKS_PER_GENERATION_MAX as u64 <= EPISODES_PER_GENERATION_MAX);
const _: () = assert!(EVALUATION_UPDATES_MAX <= UPDATES_MAX);
// Every token, with names and a group of four bytes a character, has its place in the file.
const _: () =
    assert!(TOKENS_MAX * (4 * (2 * TOKEN_NAME_MAX + GROUP_NAME_MAX) + 256) <= TOKENS_FILE_BYTES_MAX as usize);

#[cfg(test)]
mod tests;
