from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from google.protobuf import descriptor as _descriptor
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import message as _message
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
import datetime

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_WORKER: _ClassVar[Role]
    ROLE_OBSERVER: _ClassVar[Role]
    ROLE_OPERATOR: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_WORKER: Role
ROLE_OBSERVER: Role
ROLE_OPERATOR: Role
ROLE_ADMIN: Role

class Token(_message.Message):
    __slots__ = ("name", "role", "group", "created", "created_by", "expires", "revoked")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: Role
    group: str
    created: _timestamp_pb2.Timestamp
    created_by: str
    expires: _timestamp_pb2.Timestamp
    revoked: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., group: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., created_by: _Optional[str] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., revoked: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("name", "role", "group", "expires_in")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: Role
    group: str
    expires_in: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., group: _Optional[str] = ..., expires_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class CreateTokenResponse(_message.Message):
    __slots__ = ("token", "secret")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    token: Token
    secret: str
    def __init__(self, token: _Optional[_Union[Token, _Mapping[str, _Any]]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTokensResponse(_message.Message):
    __slots__ = ("tokens", "next_page_token")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    next_page_token: str
    def __init__(self, tokens: _Optional[_Iterable[_Union[Token, _Mapping[str, _Any]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: Token
    def __init__(self, token: _Optional[_Union[Token, _Mapping[str, _Any]]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next_page_token")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    next_page_token: str
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping[str, _Any]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker", "within")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    worker: int
    within: _duration_pb2.Duration
    def __init__(self, worker: _Optional[int] = ..., within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class DrainWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: Worker
    def __init__(self, worker: _Optional[_Union[Worker, _Mapping[str, _Any]]] = ...) -> None: ...

class GetCoordinatorStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCoordinatorStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: CoordinatorStatus
    def __init__(self, status: _Optional[_Union[CoordinatorStatus, _Mapping[str, _Any]]] = ...) -> None: ...

class StepDownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StepDownResponse(_message.Message):
    __slots__ = ("standbys",)
    STANDBYS_FIELD_NUMBER: _ClassVar[int]
    standbys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, standbys: _Optional[_Iterable[str]] = ...) -> None: ...

class GetDataSetRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    def __init__(self, digest: _Optional[bytes] = ...) -> None: ...

class GetDataSetResponse(_message.Message):
    __slots__ = ("file", "content")
    FILE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    file: int
    content: bytes
    def __init__(self, file: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("hello", "heartbeat", "report", "reject", "leaving", "give_back")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    GIVE_BACK_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    report: Report
    reject: Reject
    leaving: Leaving
    give_back: BlockEpisodes
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping[str, _Any]]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping[str, _Any]]] = ..., report: _Optional[_Union[Report, _Mapping[str, _Any]]] = ..., reject: _Optional[_Union[Reject, _Mapping[str, _Any]]] = ..., leaving: _Optional[_Union[Leaving, _Mapping[str, _Any]]] = ..., give_back: _Optional[_Union[BlockEpisodes, _Mapping[str, _Any]]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("welcome", "announcement", "batch", "acknowledge", "withdraw", "drain", "evaluation", "withdraw_episodes", "traceparent")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCEMENT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_EPISODES_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    announcement: RunAnnouncement
    batch: Batch
    acknowledge: Acknowledge
    withdraw: Withdraw
    drain: Drain
    evaluation: EvaluationAnnouncement
    withdraw_episodes: BlockEpisodes
    traceparent: str
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping[str, _Any]]] = ..., announcement: _Optional[_Union[RunAnnouncement, _Mapping[str, _Any]]] = ..., batch: _Optional[_Union[Batch, _Mapping[str, _Any]]] = ..., acknowledge: _Optional[_Union[Acknowledge, _Mapping[str, _Any]]] = ..., withdraw: _Optional[_Union[Withdraw, _Mapping[str, _Any]]] = ..., drain: _Optional[_Union[Drain, _Mapping[str, _Any]]] = ..., evaluation: _Optional[_Union[EvaluationAnnouncement, _Mapping[str, _Any]]] = ..., withdraw_episodes: _Optional[_Union[BlockEpisodes, _Mapping[str, _Any]]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("display_name", "threads", "episode_semantics", "fingerprint", "version", "serves")
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    EPISODE_SEMANTICS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    display_name: str
    threads: int
    episode_semantics: int
    fingerprint: bytes
    version: str
    serves: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, display_name: _Optional[str] = ..., threads: _Optional[int] = ..., episode_semantics: _Optional[int] = ..., fingerprint: _Optional[bytes] = ..., version: _Optional[str] = ..., serves: _Optional[_Iterable[str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("worker", "heartbeat_interval", "idle_heartbeat_interval")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    IDLE_HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    worker: int
    heartbeat_interval: _duration_pb2.Duration
    idle_heartbeat_interval: _duration_pb2.Duration
    def __init__(self, worker: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., idle_heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunAnnouncement(_message.Message):
    __slots__ = ("run", "spec", "spec_digest")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    run: str
    spec: str
    spec_digest: bytes
    def __init__(self, run: _Optional[str] = ..., spec: _Optional[str] = ..., spec_digest: _Optional[bytes] = ...) -> None: ...

class EvaluationAnnouncement(_message.Message):
    __slots__ = ("name", "request")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    request: str
    def __init__(self, name: _Optional[str] = ..., request: _Optional[str] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("run", "layout_digest", "generation", "purpose", "block", "genomes", "assignments", "wants_gradient")
    RUN_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    GENOMES_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    WANTS_GRADIENT_FIELD_NUMBER: _ClassVar[int]
    run: str
    layout_digest: bytes
    generation: int
    purpose: EpisodePurpose
    block: int
    genomes: _containers.RepeatedCompositeFieldContainer[BatchGenome]
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    wants_gradient: bool
    def __init__(self, run: _Optional[str] = ..., layout_digest: _Optional[bytes] = ..., generation: _Optional[int] = ..., purpose: _Optional[_Union[EpisodePurpose, str]] = ..., block: _Optional[int] = ..., genomes: _Optional[_Iterable[_Union[BatchGenome, _Mapping[str, _Any]]]] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping[str, _Any]]]] = ..., wants_gradient: _Optional[bool] = ...) -> None: ...

class BatchGenome(_message.Message):
    __slots__ = ("candidate", "values", "parameters")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    candidate: int
    values: bytes
    parameters: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, candidate: _Optional[int] = ..., values: _Optional[bytes] = ..., parameters: _Optional[_Iterable[float]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("genome", "task", "seed")
    GENOME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    genome: int
    task: int
    seed: int
    def __init__(self, genome: _Optional[int] = ..., task: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("sequence", "run", "generation", "purpose", "block", "settlements")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    run: str
    generation: int
    purpose: EpisodePurpose
    block: int
    settlements: _containers.RepeatedCompositeFieldContainer[Settlement]
    def __init__(self, sequence: _Optional[int] = ..., run: _Optional[str] = ..., generation: _Optional[int] = ..., purpose: _Optional[_Union[EpisodePurpose, str]] = ..., block: _Optional[int] = ..., settlements: _Optional[_Iterable[_Union[Settlement, _Mapping[str, _Any]]]] = ...) -> None: ...

class Acknowledge(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Reject(_message.Message):
    __slots__ = ("run", "reason")
    RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run: str
    reason: str
    def __init__(self, run: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Withdraw(_message.Message):
    __slots__ = ("run", "up_to_generation")
    RUN_FIELD_NUMBER: _ClassVar[int]
    UP_TO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    run: str
    up_to_generation: int
    def __init__(self, run: _Optional[str] = ..., up_to_generation: _Optional[int] = ...) -> None: ...

class Leaving(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BlockEpisodes(_message.Message):
    __slots__ = ("run", "generation", "purpose", "block", "episodes")
    class Episode(_message.Message):
        __slots__ = ("candidate", "task")
        CANDIDATE_FIELD_NUMBER: _ClassVar[int]
        TASK_FIELD_NUMBER: _ClassVar[int]
        candidate: int
        task: int
        def __init__(self, candidate: _Optional[int] = ..., task: _Optional[int] = ...) -> None: ...
    RUN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    run: str
    generation: int
    purpose: EpisodePurpose
    block: int
    episodes: _containers.RepeatedCompositeFieldContainer[BlockEpisodes.Episode]
    def __init__(self, run: _Optional[str] = ..., generation: _Optional[int] = ..., purpose: _Optional[_Union[EpisodePurpose, str]] = ..., block: _Optional[int] = ..., episodes: _Optional[_Iterable[_Union[BlockEpisodes.Episode, _Mapping[str, _Any]]]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("within",)
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    within: _duration_pb2.Duration
    def __init__(self, within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class EpisodePurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPISODE_PURPOSE_UNSPECIFIED: _ClassVar[EpisodePurpose]
    EPISODE_PURPOSE_SEARCH: _ClassVar[EpisodePurpose]
    EPISODE_PURPOSE_REMEASURE: _ClassVar[EpisodePurpose]
    EPISODE_PURPOSE_VALIDATION: _ClassVar[EpisodePurpose]
EPISODE_PURPOSE_UNSPECIFIED: EpisodePurpose
EPISODE_PURPOSE_SEARCH: EpisodePurpose
EPISODE_PURPOSE_REMEASURE: EpisodePurpose
EPISODE_PURPOSE_VALIDATION: EpisodePurpose

class Settlement(_message.Message):
    __slots__ = ("candidate", "task", "compute_time", "evaluated", "diverged", "worker_error", "rejected", "infeasible")
    class Evaluated(_message.Message):
        __slots__ = ("fitness", "extended", "scores", "gradient", "unadapted", "blind", "unlearned", "agreement")
        FITNESS_FIELD_NUMBER: _ClassVar[int]
        EXTENDED_FIELD_NUMBER: _ClassVar[int]
        SCORES_FIELD_NUMBER: _ClassVar[int]
        GRADIENT_FIELD_NUMBER: _ClassVar[int]
        UNADAPTED_FIELD_NUMBER: _ClassVar[int]
        BLIND_FIELD_NUMBER: _ClassVar[int]
        UNLEARNED_FIELD_NUMBER: _ClassVar[int]
        AGREEMENT_FIELD_NUMBER: _ClassVar[int]
        fitness: float
        extended: float
        scores: _containers.RepeatedScalarFieldContainer[float]
        gradient: _containers.RepeatedScalarFieldContainer[float]
        unadapted: float
        blind: float
        unlearned: float
        agreement: Settlement.Agreement
        def __init__(self, fitness: _Optional[float] = ..., extended: _Optional[float] = ..., scores: _Optional[_Iterable[float]] = ..., gradient: _Optional[_Iterable[float]] = ..., unadapted: _Optional[float] = ..., blind: _Optional[float] = ..., unlearned: _Optional[float] = ..., agreement: _Optional[_Union[Settlement.Agreement, _Mapping[str, _Any]]] = ...) -> None: ...
    class Agreement(_message.Message):
        __slots__ = ("cosine", "length_ratio")
        COSINE_FIELD_NUMBER: _ClassVar[int]
        LENGTH_RATIO_FIELD_NUMBER: _ClassVar[int]
        cosine: float
        length_ratio: float
        def __init__(self, cosine: _Optional[float] = ..., length_ratio: _Optional[float] = ...) -> None: ...
    class Diverged(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Infeasible(_message.Message):
        __slots__ = ("violation",)
        VIOLATION_FIELD_NUMBER: _ClassVar[int]
        violation: float
        def __init__(self, violation: _Optional[float] = ...) -> None: ...
    class WorkerError(_message.Message):
        __slots__ = ("reason",)
        REASON_FIELD_NUMBER: _ClassVar[int]
        reason: str
        def __init__(self, reason: _Optional[str] = ...) -> None: ...
    class Rejected(_message.Message):
        __slots__ = ("reason",)
        REASON_FIELD_NUMBER: _ClassVar[int]
        reason: str
        def __init__(self, reason: _Optional[str] = ...) -> None: ...
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_FIELD_NUMBER: _ClassVar[int]
    WORKER_ERROR_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    candidate: int
    task: int
    compute_time: _duration_pb2.Duration
    evaluated: Settlement.Evaluated
    diverged: Settlement.Diverged
    worker_error: Settlement.WorkerError
    rejected: Settlement.Rejected
    infeasible: Settlement.Infeasible
    def __init__(self, candidate: _Optional[int] = ..., task: _Optional[int] = ..., compute_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., evaluated: _Optional[_Union[Settlement.Evaluated, _Mapping[str, _Any]]] = ..., diverged: _Optional[_Union[Settlement.Diverged, _Mapping[str, _Any]]] = ..., worker_error: _Optional[_Union[Settlement.WorkerError, _Mapping[str, _Any]]] = ..., rejected: _Optional[_Union[Settlement.Rejected, _Mapping[str, _Any]]] = ..., infeasible: _Optional[_Union[Settlement.Infeasible, _Mapping[str, _Any]]] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("request", "genomes", "tasks", "points", "fingerprint", "weight")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    GENOMES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    request: str
    genomes: int
    tasks: int
    points: int
    fingerprint: bytes
    weight: float
    def __init__(self, request: _Optional[str] = ..., genomes: _Optional[int] = ..., tasks: _Optional[int] = ..., points: _Optional[int] = ..., fingerprint: _Optional[bytes] = ..., weight: _Optional[float] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("episodes",)
    class Episode(_message.Message):
        __slots__ = ("genome", "task", "scores")
        GENOME_FIELD_NUMBER: _ClassVar[int]
        TASK_FIELD_NUMBER: _ClassVar[int]
        SCORES_FIELD_NUMBER: _ClassVar[int]
        genome: int
        task: int
        scores: _containers.RepeatedScalarFieldContainer[float]
        def __init__(self, genome: _Optional[int] = ..., task: _Optional[int] = ..., scores: _Optional[_Iterable[float]] = ...) -> None: ...
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    episodes: _containers.RepeatedCompositeFieldContainer[EvaluateResponse.Episode]
    def __init__(self, episodes: _Optional[_Iterable[_Union[EvaluateResponse.Episode, _Mapping[str, _Any]]]] = ...) -> None: ...

class RunState(_message.Message):
    __slots__ = ("running", "paused", "finished", "cancelled", "failed")
    class Running(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Paused(_message.Message):
        __slots__ = ("reason",)
        REASON_FIELD_NUMBER: _ClassVar[int]
        reason: str
        def __init__(self, reason: _Optional[str] = ...) -> None: ...
    class Cancelled(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Failed(_message.Message):
        __slots__ = ("reason",)
        REASON_FIELD_NUMBER: _ClassVar[int]
        reason: str
        def __init__(self, reason: _Optional[str] = ...) -> None: ...
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    running: RunState.Running
    paused: RunState.Paused
    finished: StopReason
    cancelled: RunState.Cancelled
    failed: RunState.Failed
    def __init__(self, running: _Optional[_Union[RunState.Running, _Mapping[str, _Any]]] = ..., paused: _Optional[_Union[RunState.Paused, _Mapping[str, _Any]]] = ..., finished: _Optional[_Union[StopReason, _Mapping[str, _Any]]] = ..., cancelled: _Optional[_Union[RunState.Cancelled, _Mapping[str, _Any]]] = ..., failed: _Optional[_Union[RunState.Failed, _Mapping[str, _Any]]] = ...) -> None: ...

class StopReason(_message.Message):
    __slots__ = ("criterion", "detail")
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    criterion: str
    detail: str
    def __init__(self, criterion: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class SearchSummary(_message.Message):
    __slots__ = ("step_size", "axis_ratio", "deviation_min", "deviation_max", "mean_norm", "agreement", "mean_rate", "covariance_rate", "restart", "gradient_norm", "diverged_tasks", "distribution")
    STEP_SIZE_FIELD_NUMBER: _ClassVar[int]
    AXIS_RATIO_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_MIN_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_MAX_FIELD_NUMBER: _ClassVar[int]
    MEAN_NORM_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    MEAN_RATE_FIELD_NUMBER: _ClassVar[int]
    COVARIANCE_RATE_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_TASKS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    step_size: float
    axis_ratio: float
    deviation_min: float
    deviation_max: float
    mean_norm: float
    agreement: float
    mean_rate: float
    covariance_rate: float
    restart: Restart
    gradient_norm: float
    diverged_tasks: int
    distribution: Distribution
    def __init__(self, step_size: _Optional[float] = ..., axis_ratio: _Optional[float] = ..., deviation_min: _Optional[float] = ..., deviation_max: _Optional[float] = ..., mean_norm: _Optional[float] = ..., agreement: _Optional[float] = ..., mean_rate: _Optional[float] = ..., covariance_rate: _Optional[float] = ..., restart: _Optional[_Union[Restart, _Mapping[str, _Any]]] = ..., gradient_norm: _Optional[float] = ..., diverged_tasks: _Optional[int] = ..., distribution: _Optional[_Union[Distribution, _Mapping[str, _Any]]] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("dimension", "mean", "deviations", "axes")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATIONS_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    dimension: int
    mean: _containers.RepeatedScalarFieldContainer[float]
    deviations: _containers.RepeatedScalarFieldContainer[float]
    axes: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, dimension: _Optional[int] = ..., mean: _Optional[_Iterable[float]] = ..., deviations: _Optional[_Iterable[float]] = ..., axes: _Optional[_Iterable[float]] = ...) -> None: ...

class Restart(_message.Message):
    __slots__ = ("number", "population_size", "step_size", "criterion", "detail")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    POPULATION_SIZE_FIELD_NUMBER: _ClassVar[int]
    STEP_SIZE_FIELD_NUMBER: _ClassVar[int]
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    number: int
    population_size: int
    step_size: float
    criterion: str
    detail: str
    def __init__(self, number: _Optional[int] = ..., population_size: _Optional[int] = ..., step_size: _Optional[float] = ..., criterion: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class GenerationSummary(_message.Message):
    __slots__ = ("generation", "updates", "best_fitness", "median_fitness", "diverged", "evaluations", "episodes", "compute_time", "elapsed", "search", "state_digest", "fitness_deviation", "failed_generations", "fitness_quantiles", "workers", "infeasible", "best_scores")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    BEST_FITNESS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FITNESS_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    STATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FITNESS_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    FAILED_GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    FITNESS_QUANTILES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    BEST_SCORES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    updates: int
    best_fitness: float
    median_fitness: float
    diverged: int
    evaluations: int
    episodes: int
    compute_time: _duration_pb2.Duration
    elapsed: _duration_pb2.Duration
    search: SearchSummary
    state_digest: bytes
    fitness_deviation: float
    failed_generations: int
    fitness_quantiles: _containers.RepeatedScalarFieldContainer[float]
    workers: int
    infeasible: int
    best_scores: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, generation: _Optional[int] = ..., updates: _Optional[int] = ..., best_fitness: _Optional[float] = ..., median_fitness: _Optional[float] = ..., diverged: _Optional[int] = ..., evaluations: _Optional[int] = ..., episodes: _Optional[int] = ..., compute_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., search: _Optional[_Union[SearchSummary, _Mapping[str, _Any]]] = ..., state_digest: _Optional[bytes] = ..., fitness_deviation: _Optional[float] = ..., failed_generations: _Optional[int] = ..., fitness_quantiles: _Optional[_Iterable[float]] = ..., workers: _Optional[int] = ..., infeasible: _Optional[int] = ..., best_scores: _Optional[_Iterable[float]] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("name", "display_name", "spec_digest", "state", "generation", "generations_limit", "settled_episodes", "generation_episodes", "leased_episodes", "eligible_workers", "best_fitness", "last_generation", "create_time", "fingerprint", "notes", "sequence", "validation", "search_ended", "remeasurement", "parent", "group", "seed", "end_time", "weight", "unanswering_workers", "unanswering", "doubt", "objective")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_EPISODES_FIELD_NUMBER: _ClassVar[int]
    LEASED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    ELIGIBLE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    BEST_FITNESS_FIELD_NUMBER: _ClassVar[int]
    LAST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    SEARCH_ENDED_FIELD_NUMBER: _ClassVar[int]
    REMEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNANSWERING_WORKERS_FIELD_NUMBER: _ClassVar[int]
    UNANSWERING_FIELD_NUMBER: _ClassVar[int]
    DOUBT_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    spec_digest: bytes
    state: RunState
    generation: int
    generations_limit: int
    settled_episodes: int
    generation_episodes: int
    leased_episodes: int
    eligible_workers: int
    best_fitness: float
    last_generation: GenerationSummary
    create_time: _timestamp_pb2.Timestamp
    fingerprint: bytes
    notes: _containers.RepeatedScalarFieldContainer[str]
    sequence: int
    validation: ValidationSummary
    search_ended: StopReason
    remeasurement: Remeasurement
    parent: Parent
    group: str
    seed: int
    end_time: _timestamp_pb2.Timestamp
    weight: float
    unanswering_workers: int
    unanswering: _containers.RepeatedScalarFieldContainer[str]
    doubt: Doubt
    objective: Objective
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., spec_digest: _Optional[bytes] = ..., state: _Optional[_Union[RunState, _Mapping[str, _Any]]] = ..., generation: _Optional[int] = ..., generations_limit: _Optional[int] = ..., settled_episodes: _Optional[int] = ..., generation_episodes: _Optional[int] = ..., leased_episodes: _Optional[int] = ..., eligible_workers: _Optional[int] = ..., best_fitness: _Optional[float] = ..., last_generation: _Optional[_Union[GenerationSummary, _Mapping[str, _Any]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., fingerprint: _Optional[bytes] = ..., notes: _Optional[_Iterable[str]] = ..., sequence: _Optional[int] = ..., validation: _Optional[_Union[ValidationSummary, _Mapping[str, _Any]]] = ..., search_ended: _Optional[_Union[StopReason, _Mapping[str, _Any]]] = ..., remeasurement: _Optional[_Union[Remeasurement, _Mapping[str, _Any]]] = ..., parent: _Optional[_Union[Parent, _Mapping[str, _Any]]] = ..., group: _Optional[str] = ..., seed: _Optional[int] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., weight: _Optional[float] = ..., unanswering_workers: _Optional[int] = ..., unanswering: _Optional[_Iterable[str]] = ..., doubt: _Optional[_Union[Doubt, _Mapping[str, _Any]]] = ..., objective: _Optional[_Union[Objective, _Mapping[str, _Any]]] = ...) -> None: ...

class Objective(_message.Message):
    __slots__ = ("name", "minimise", "scores")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MINIMISE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    name: str
    minimise: bool
    scores: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., minimise: _Optional[bool] = ..., scores: _Optional[_Iterable[str]] = ...) -> None: ...

class Doubt(_message.Message):
    __slots__ = ("generation", "worker", "clean_generations")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    CLEAN_GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    worker: str
    clean_generations: int
    def __init__(self, generation: _Optional[int] = ..., worker: _Optional[str] = ..., clean_generations: _Optional[int] = ...) -> None: ...

class Parent(_message.Message):
    __slots__ = ("run", "generations")
    RUN_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    run: str
    generations: int
    def __init__(self, run: _Optional[str] = ..., generations: _Optional[int] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("mean", "standard_error")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    mean: float
    standard_error: float
    def __init__(self, mean: _Optional[float] = ..., standard_error: _Optional[float] = ...) -> None: ...

class ValidationSummary(_message.Message):
    __slots__ = ("generation", "updates", "extended_updates", "families", "accuracy", "extended", "drop", "norms", "warnings", "compute_time", "unadapted", "keys", "estimate")
    class Keys(_message.Message):
        __slots__ = ("support_use", "memorised", "learner_gap", "test_support_use", "unlearned_lead")
        SUPPORT_USE_FIELD_NUMBER: _ClassVar[int]
        MEMORISED_FIELD_NUMBER: _ClassVar[int]
        LEARNER_GAP_FIELD_NUMBER: _ClassVar[int]
        TEST_SUPPORT_USE_FIELD_NUMBER: _ClassVar[int]
        UNLEARNED_LEAD_FIELD_NUMBER: _ClassVar[int]
        support_use: Estimate
        memorised: Estimate
        learner_gap: Estimate
        test_support_use: Estimate
        unlearned_lead: Estimate
        def __init__(self, support_use: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., memorised: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., learner_gap: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., test_support_use: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., unlearned_lead: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ...) -> None: ...
    class EstimateCheck(_message.Message):
        __slots__ = ("estimator", "exact", "tasks", "cosine", "lowest_cosine", "length_ratio", "forward_passes", "exact_forward_passes")
        ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
        EXACT_FIELD_NUMBER: _ClassVar[int]
        TASKS_FIELD_NUMBER: _ClassVar[int]
        COSINE_FIELD_NUMBER: _ClassVar[int]
        LOWEST_COSINE_FIELD_NUMBER: _ClassVar[int]
        LENGTH_RATIO_FIELD_NUMBER: _ClassVar[int]
        FORWARD_PASSES_FIELD_NUMBER: _ClassVar[int]
        EXACT_FORWARD_PASSES_FIELD_NUMBER: _ClassVar[int]
        estimator: str
        exact: str
        tasks: int
        cosine: Estimate
        lowest_cosine: float
        length_ratio: Estimate
        forward_passes: float
        exact_forward_passes: float
        def __init__(self, estimator: _Optional[str] = ..., exact: _Optional[str] = ..., tasks: _Optional[int] = ..., cosine: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., lowest_cosine: _Optional[float] = ..., length_ratio: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., forward_passes: _Optional[float] = ..., exact_forward_passes: _Optional[float] = ...) -> None: ...
    class Family(_message.Message):
        __slots__ = ("family", "trained", "tasks", "diverged", "accuracy", "extended", "unadapted")
        FAMILY_FIELD_NUMBER: _ClassVar[int]
        TRAINED_FIELD_NUMBER: _ClassVar[int]
        TASKS_FIELD_NUMBER: _ClassVar[int]
        DIVERGED_FIELD_NUMBER: _ClassVar[int]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        EXTENDED_FIELD_NUMBER: _ClassVar[int]
        UNADAPTED_FIELD_NUMBER: _ClassVar[int]
        family: str
        trained: bool
        tasks: int
        diverged: int
        accuracy: Estimate
        extended: Estimate
        unadapted: Estimate
        def __init__(self, family: _Optional[str] = ..., trained: _Optional[bool] = ..., tasks: _Optional[int] = ..., diverged: _Optional[int] = ..., accuracy: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., extended: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., unadapted: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ...) -> None: ...
    class SegmentNorm(_message.Message):
        __slots__ = ("segment", "norm")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        NORM_FIELD_NUMBER: _ClassVar[int]
        segment: str
        norm: float
        def __init__(self, segment: _Optional[str] = ..., norm: _Optional[float] = ...) -> None: ...
    class Warning(_message.Message):
        __slots__ = ("failure", "figure", "remedy")
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        FIGURE_FIELD_NUMBER: _ClassVar[int]
        REMEDY_FIELD_NUMBER: _ClassVar[int]
        failure: str
        figure: str
        remedy: str
        def __init__(self, failure: _Optional[str] = ..., figure: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    EXTENDED_UPDATES_FIELD_NUMBER: _ClassVar[int]
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    EXTENDED_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    NORMS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNADAPTED_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    updates: int
    extended_updates: int
    families: _containers.RepeatedCompositeFieldContainer[ValidationSummary.Family]
    accuracy: Estimate
    extended: Estimate
    drop: Estimate
    norms: _containers.RepeatedCompositeFieldContainer[ValidationSummary.SegmentNorm]
    warnings: _containers.RepeatedCompositeFieldContainer[ValidationSummary.Warning]
    compute_time: _duration_pb2.Duration
    unadapted: Estimate
    keys: ValidationSummary.Keys
    estimate: ValidationSummary.EstimateCheck
    def __init__(self, generation: _Optional[int] = ..., updates: _Optional[int] = ..., extended_updates: _Optional[int] = ..., families: _Optional[_Iterable[_Union[ValidationSummary.Family, _Mapping[str, _Any]]]] = ..., accuracy: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., extended: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., drop: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., norms: _Optional[_Iterable[_Union[ValidationSummary.SegmentNorm, _Mapping[str, _Any]]]] = ..., warnings: _Optional[_Iterable[_Union[ValidationSummary.Warning, _Mapping[str, _Any]]]] = ..., compute_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., unadapted: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., keys: _Optional[_Union[ValidationSummary.Keys, _Mapping[str, _Any]]] = ..., estimate: _Optional[_Union[ValidationSummary.EstimateCheck, _Mapping[str, _Any]]] = ...) -> None: ...

class Remeasurement(_message.Message):
    __slots__ = ("updates", "tasks", "mean", "best", "compute_time")
    class Measured(_message.Message):
        __slots__ = ("fitness", "diverged", "infeasible", "scores")
        FITNESS_FIELD_NUMBER: _ClassVar[int]
        DIVERGED_FIELD_NUMBER: _ClassVar[int]
        INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
        SCORES_FIELD_NUMBER: _ClassVar[int]
        fitness: Estimate
        diverged: int
        infeasible: int
        scores: _containers.RepeatedCompositeFieldContainer[Estimate]
        def __init__(self, fitness: _Optional[_Union[Estimate, _Mapping[str, _Any]]] = ..., diverged: _Optional[int] = ..., infeasible: _Optional[int] = ..., scores: _Optional[_Iterable[_Union[Estimate, _Mapping[str, _Any]]]] = ...) -> None: ...
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_FIELD_NUMBER: _ClassVar[int]
    updates: int
    tasks: int
    mean: Remeasurement.Measured
    best: Remeasurement.Measured
    compute_time: _duration_pb2.Duration
    def __init__(self, updates: _Optional[int] = ..., tasks: _Optional[int] = ..., mean: _Optional[_Union[Remeasurement.Measured, _Mapping[str, _Any]]] = ..., best: _Optional[_Union[Remeasurement.Measured, _Mapping[str, _Any]]] = ..., compute_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("generation", "state", "note", "validation", "remeasurement")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    REMEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    generation: GenerationSummary
    state: RunState
    note: str
    validation: ValidationSummary
    remeasurement: Remeasurement
    def __init__(self, generation: _Optional[_Union[GenerationSummary, _Mapping[str, _Any]]] = ..., state: _Optional[_Union[RunState, _Mapping[str, _Any]]] = ..., note: _Optional[str] = ..., validation: _Optional[_Union[ValidationSummary, _Mapping[str, _Any]]] = ..., remeasurement: _Optional[_Union[Remeasurement, _Mapping[str, _Any]]] = ...) -> None: ...

class Transform(_message.Message):
    __slots__ = ("affine", "exp", "decay", "bounded", "mirrored", "whole")
    class Affine(_message.Message):
        __slots__ = ("offset", "scale")
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        SCALE_FIELD_NUMBER: _ClassVar[int]
        offset: float
        scale: float
        def __init__(self, offset: _Optional[float] = ..., scale: _Optional[float] = ...) -> None: ...
    class Exp(_message.Message):
        __slots__ = ("factor", "scale")
        FACTOR_FIELD_NUMBER: _ClassVar[int]
        SCALE_FIELD_NUMBER: _ClassVar[int]
        factor: float
        scale: float
        def __init__(self, factor: _Optional[float] = ..., scale: _Optional[float] = ...) -> None: ...
    class Decay(_message.Message):
        __slots__ = ("rate", "shift")
        RATE_FIELD_NUMBER: _ClassVar[int]
        SHIFT_FIELD_NUMBER: _ClassVar[int]
        rate: float
        shift: float
        def __init__(self, rate: _Optional[float] = ..., shift: _Optional[float] = ...) -> None: ...
    class Bounded(_message.Message):
        __slots__ = ("low", "high")
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        low: float
        high: float
        def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...
    class Mirrored(_message.Message):
        __slots__ = ("offset", "scale", "low", "high", "logarithmic")
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        SCALE_FIELD_NUMBER: _ClassVar[int]
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        LOGARITHMIC_FIELD_NUMBER: _ClassVar[int]
        offset: float
        scale: float
        low: float
        high: float
        logarithmic: bool
        def __init__(self, offset: _Optional[float] = ..., scale: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., logarithmic: _Optional[bool] = ...) -> None: ...
    class Whole(_message.Message):
        __slots__ = ("offset", "scale", "low", "high")
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        SCALE_FIELD_NUMBER: _ClassVar[int]
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        offset: float
        scale: float
        low: float
        high: float
        def __init__(self, offset: _Optional[float] = ..., scale: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    EXP_FIELD_NUMBER: _ClassVar[int]
    DECAY_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    MIRRORED_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    affine: Transform.Affine
    exp: Transform.Exp
    decay: Transform.Decay
    bounded: Transform.Bounded
    mirrored: Transform.Mirrored
    whole: Transform.Whole
    def __init__(self, affine: _Optional[_Union[Transform.Affine, _Mapping[str, _Any]]] = ..., exp: _Optional[_Union[Transform.Exp, _Mapping[str, _Any]]] = ..., decay: _Optional[_Union[Transform.Decay, _Mapping[str, _Any]]] = ..., bounded: _Optional[_Union[Transform.Bounded, _Mapping[str, _Any]]] = ..., mirrored: _Optional[_Union[Transform.Mirrored, _Mapping[str, _Any]]] = ..., whole: _Optional[_Union[Transform.Whole, _Mapping[str, _Any]]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("name", "start", "shape", "transform", "initial_mean")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MEAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    start: int
    shape: _containers.RepeatedScalarFieldContainer[int]
    transform: Transform
    initial_mean: float
    def __init__(self, name: _Optional[str] = ..., start: _Optional[int] = ..., shape: _Optional[_Iterable[int]] = ..., transform: _Optional[_Union[Transform, _Mapping[str, _Any]]] = ..., initial_mean: _Optional[float] = ...) -> None: ...

class GenomeLayout(_message.Message):
    __slots__ = ("segments", "digest")
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    digest: bytes
    def __init__(self, segments: _Optional[_Iterable[_Union[Segment, _Mapping[str, _Any]]]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class RunResult(_message.Message):
    __slots__ = ("name", "spec", "state", "generations", "mean", "best", "layout", "validation", "remeasurement")
    class Sample(_message.Message):
        __slots__ = ("genome", "fitness")
        GENOME_FIELD_NUMBER: _ClassVar[int]
        FITNESS_FIELD_NUMBER: _ClassVar[int]
        genome: _containers.RepeatedScalarFieldContainer[float]
        fitness: float
        def __init__(self, genome: _Optional[_Iterable[float]] = ..., fitness: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    REMEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: str
    state: RunState
    generations: int
    mean: _containers.RepeatedScalarFieldContainer[float]
    best: RunResult.Sample
    layout: GenomeLayout
    validation: ValidationSummary
    remeasurement: Remeasurement
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[str] = ..., state: _Optional[_Union[RunState, _Mapping[str, _Any]]] = ..., generations: _Optional[int] = ..., mean: _Optional[_Iterable[float]] = ..., best: _Optional[_Union[RunResult.Sample, _Mapping[str, _Any]]] = ..., layout: _Optional[_Union[GenomeLayout, _Mapping[str, _Any]]] = ..., validation: _Optional[_Union[ValidationSummary, _Mapping[str, _Any]]] = ..., remeasurement: _Optional[_Union[Remeasurement, _Mapping[str, _Any]]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("id", "display_name", "threads", "version", "fingerprint", "leased_episodes", "credit", "settled_episodes", "errors", "episode_time", "attached", "draining", "ineligible", "heard", "overtaken", "proven", "excluded", "hedged_episodes", "serves")
    class Ineligibility(_message.Message):
        __slots__ = ("run", "reason")
        RUN_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        run: str
        reason: str
        def __init__(self, run: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LEASED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    EPISODE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    INELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    OVERTAKEN_FIELD_NUMBER: _ClassVar[int]
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    HEDGED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    id: int
    display_name: str
    threads: int
    version: str
    fingerprint: bytes
    leased_episodes: int
    credit: int
    settled_episodes: int
    errors: int
    episode_time: _duration_pb2.Duration
    attached: _duration_pb2.Duration
    draining: bool
    ineligible: _containers.RepeatedCompositeFieldContainer[Worker.Ineligibility]
    heard: _duration_pb2.Duration
    overtaken: int
    proven: bool
    excluded: str
    hedged_episodes: int
    serves: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., display_name: _Optional[str] = ..., threads: _Optional[int] = ..., version: _Optional[str] = ..., fingerprint: _Optional[bytes] = ..., leased_episodes: _Optional[int] = ..., credit: _Optional[int] = ..., settled_episodes: _Optional[int] = ..., errors: _Optional[int] = ..., episode_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., attached: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., draining: _Optional[bool] = ..., ineligible: _Optional[_Iterable[_Union[Worker.Ineligibility, _Mapping[str, _Any]]]] = ..., heard: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., overtaken: _Optional[int] = ..., proven: _Optional[bool] = ..., excluded: _Optional[str] = ..., hedged_episodes: _Optional[int] = ..., serves: _Optional[_Iterable[str]] = ...) -> None: ...

class CoordinatorStatus(_message.Message):
    __slots__ = ("version", "epoch", "uptime", "workers", "threads", "active_runs", "settled_episodes", "journal_trouble", "late_messages", "hedged_episodes", "attached_workers", "lost_workers", "events", "leadership", "silent_workers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_RUNS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_TROUBLE_FIELD_NUMBER: _ClassVar[int]
    LATE_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    HEDGED_EPISODES_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_WORKERS_FIELD_NUMBER: _ClassVar[int]
    LOST_WORKERS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LEADERSHIP_FIELD_NUMBER: _ClassVar[int]
    SILENT_WORKERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    epoch: int
    uptime: _duration_pb2.Duration
    workers: int
    threads: int
    active_runs: int
    settled_episodes: int
    journal_trouble: str
    late_messages: int
    hedged_episodes: int
    attached_workers: int
    lost_workers: int
    events: _containers.RepeatedCompositeFieldContainer[ClusterEvent]
    leadership: Leadership
    silent_workers: int
    def __init__(self, version: _Optional[str] = ..., epoch: _Optional[int] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., workers: _Optional[int] = ..., threads: _Optional[int] = ..., active_runs: _Optional[int] = ..., settled_episodes: _Optional[int] = ..., journal_trouble: _Optional[str] = ..., late_messages: _Optional[int] = ..., hedged_episodes: _Optional[int] = ..., attached_workers: _Optional[int] = ..., lost_workers: _Optional[int] = ..., events: _Optional[_Iterable[_Union[ClusterEvent, _Mapping[str, _Any]]]] = ..., leadership: _Optional[_Union[Leadership, _Mapping[str, _Any]]] = ..., silent_workers: _Optional[int] = ...) -> None: ...

class Leadership(_message.Message):
    __slots__ = ("leads", "leader", "address")
    LEADS_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    leads: bool
    leader: str
    address: str
    def __init__(self, leads: _Optional[bool] = ..., leader: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class ClusterEvent(_message.Message):
    __slots__ = ("time", "worker", "display_name", "what", "why")
    TIME_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    worker: int
    display_name: str
    what: str
    why: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., worker: _Optional[int] = ..., display_name: _Optional[str] = ..., what: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class CreateRunRequest(_message.Message):
    __slots__ = ("spec", "request_id", "weight", "group")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    spec: str
    request_id: str
    weight: float
    group: str
    def __init__(self, spec: _Optional[str] = ..., request_id: _Optional[str] = ..., weight: _Optional[float] = ..., group: _Optional[str] = ...) -> None: ...

class CreateRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping[str, _Any]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class ResumeRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class DeleteRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExtendRunRequest(_message.Message):
    __slots__ = ("name", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    limits: str
    def __init__(self, name: _Optional[str] = ..., limits: _Optional[str] = ...) -> None: ...

class ExtendRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class AddRunNoteRequest(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class AddRunNoteResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class GetWarmStartRequest(_message.Message):
    __slots__ = ("name", "generations")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    generations: int
    def __init__(self, name: _Optional[str] = ..., generations: _Optional[int] = ...) -> None: ...

class GetWarmStartResponse(_message.Message):
    __slots__ = ("spec", "generations")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    spec: str
    generations: int
    def __init__(self, spec: _Optional[str] = ..., generations: _Optional[int] = ...) -> None: ...

class ForkRunRequest(_message.Message):
    __slots__ = ("name", "generations", "spec", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    generations: int
    spec: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., generations: _Optional[int] = ..., spec: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ForkRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping[str, _Any]]] = ...) -> None: ...

class WatchRunRequest(_message.Message):
    __slots__ = ("name", "after_sequence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_sequence: int
    def __init__(self, name: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchRunResponse(_message.Message):
    __slots__ = ("sequence", "event")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event: RunEvent
    def __init__(self, sequence: _Optional[int] = ..., event: _Optional[_Union[RunEvent, _Mapping[str, _Any]]] = ...) -> None: ...

class GetRunResultRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRunResultResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: RunResult
    def __init__(self, result: _Optional[_Union[RunResult, _Mapping[str, _Any]]] = ...) -> None: ...

class ListGenerationsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGenerationsResponse(_message.Message):
    __slots__ = ("generations", "next_page_token")
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    generations: _containers.RepeatedCompositeFieldContainer[GenerationSummary]
    next_page_token: str
    def __init__(self, generations: _Optional[_Iterable[_Union[GenerationSummary, _Mapping[str, _Any]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
