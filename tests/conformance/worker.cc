// A worker in C++, from the .proto files and gRPC alone (Debian: libgrpc++-dev, protobuf-compiler-grpc), with the objective of
// `hebbian conformance`. docs/WORKERS.md says what a worker does; each step here has its place there.
//
//     worker ADDRESS      for example http://127.0.0.1:7420
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include "hebbian/v1/dispatch_service.grpc.pb.h"

namespace v1 = hebbian::v1;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kSlots = 2;
constexpr const char *kProblem = "conformance";
// docs/SECURITY.md: the largest messages in each direction.
constexpr int kReceiveBytesMax = 64 << 20, kSendBytesMax = 16 << 20;
constexpr size_t kReasonBytesMax = 1024;
constexpr auto kLeaveTime = std::chrono::seconds(10), kCloseTime = std::chrono::seconds(2);

struct Infeasible { double violation; };
struct Failed {};

// What the spec says of a parameter: its name, and how many numbers it takes of BatchGenome.parameters.
struct Parameter { std::string name; size_t numbers; };

struct Run {
    std::vector<Parameter> parameters;
    std::string word;
};

using Values = std::map<std::string, std::vector<double>>;

// The objective: a value and two scores.
std::pair<double, std::vector<double>> objective(const Values &values, const std::string &word, uint32_t seed) {
    const auto &x = values.at("x");
    const double level = values.at("level")[0];
    std::this_thread::sleep_for(milliseconds(static_cast<int64_t>(values.at("milliseconds")[0])));
    switch (static_cast<int>(values.at("ending")[0])) {
        case 1: throw Infeasible{0.25};
        case 2: throw Failed{};
        case 3: throw std::runtime_error(std::string(5000, 'x'));
        case 4: return {std::nan(""), {level, x.front()}};
    }
    return {x.front() + 2 * x.back() + 10 * level + seed % 1000 + static_cast<double>(word.size()), {level, x.front()}};
}

// What a report is about.
using Block = std::tuple<std::string, uint32_t, v1::EpisodePurpose, uint32_t>;

struct Item {
    uint64_t stream;
    Block block;
    uint32_t candidate, task, seed;
    std::shared_ptr<const Run> run;
    std::vector<double> numbers;
};

v1::Settlement evaluate(const Item &item) {
    v1::Settlement settlement;
    settlement.set_candidate(item.candidate);
    settlement.set_task(item.task);
    const auto start = Clock::now();
    try {
        Values values;
        size_t first = 0;
        for (const auto &parameter : item.run->parameters) {
            if (first + parameter.numbers > item.numbers.size()) throw std::runtime_error("there are too few numbers");
            values[parameter.name].assign(item.numbers.begin() + first, item.numbers.begin() + first + parameter.numbers);
            first += parameter.numbers;
        }
        const auto [value, scores] = objective(values, item.run->word, item.seed);
        if (std::isfinite(value)) {
            settlement.mutable_evaluated()->set_fitness(value);
            for (double score : scores) settlement.mutable_evaluated()->add_scores(score);
        } else {
            settlement.mutable_diverged();
        }
    } catch (const Infeasible &infeasible) {
        settlement.mutable_infeasible()->set_violation(infeasible.violation);
    } catch (const Failed &) {
        settlement.mutable_diverged();
    } catch (const std::exception &error) {
        settlement.mutable_worker_error()->set_reason(std::string(error.what()).substr(0, kReasonBytesMax));
    }
    const auto nanoseconds = std::chrono::nanoseconds(Clock::now() - start).count();
    settlement.mutable_compute_time()->set_seconds(nanoseconds / 1'000'000'000);
    settlement.mutable_compute_time()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
    return settlement;
}

Clock::duration duration(const google::protobuf::Duration &span) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::seconds(span.seconds()) + std::chrono::nanoseconds(span.nanos()));
}

class Worker {
  public:
    explicit Worker(std::string target) {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(kReceiveBytesMax);
        arguments.SetMaxSendMessageSize(kSendBytesMax);
        // A coordinator that was away is asked again within a second.
        arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
        arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
        arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
        stub_ = v1::DispatchService::NewStub(grpc::CreateCustomChannel(std::move(target), grpc::InsecureChannelCredentials(), arguments));
        for (int slot = 0; slot < kSlots; ++slot) std::thread([this] { evaluate_for_ever(); }).detach();
        std::thread([this] { beat_for_ever(); }).detach();
    }

    // Attaches again and again, until it was drained or told to end.
    void work() {
        while (!attach()) std::this_thread::sleep_for(milliseconds(100));
    }

    void leave(Clock::duration within) {
        std::lock_guard lock(mutex_);
        leave_locked(within);
    }

  private:
    using Stream = grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>;

    // One stream, from the hello to its end; whether the worker has left.
    bool attach() {
        grpc::ClientContext context;
        context.set_wait_for_ready(true);
        auto stream = stub_->Attach(&context);
        v1::AttachRequest first;
        auto *hello = first.mutable_hello();
        hello->set_display_name("conformance-cpp");
        hello->set_threads(kSlots);
        hello->set_version("1");
        hello->add_serves(kProblem);
        v1::AttachResponse message;
        if (!stream->Write(first) || !stream->Read(&message) || message.kind_case() != v1::AttachResponse::kWelcome) {
            context.TryCancel();
            stream->Finish();
            return false;
        }
        {
            std::lock_guard lock(mutex_);
            stream_ = stream.get();
            context_ = &context;
            ++number_;
            held_ = 0;
            runs_.clear();
            busy_ = duration(message.welcome().heartbeat_interval());
            idle_ = duration(message.welcome().idle_heartbeat_interval());
            said_ = Clock::now();
            // What was not acknowledged is sent again.
            for (const auto &report : kept_) say(report);
            wake_.notify_all();
        }
        while (stream->Read(&message)) {
            std::lock_guard lock(mutex_);
            hear(message);
            wake_.notify_all();
        }
        bool left;
        {
            std::lock_guard lock(mutex_);
            stream_ = nullptr;
            context_ = nullptr;
            // What has not begun is given to others; what has is reported on the next stream.
            queue_.clear();
            left = leave_by_.has_value();
        }
        stream->Finish();
        return left;
    }

    void say(const v1::AttachRequest &message) {
        if (stream_ != nullptr && !closed_) stream_->Write(message);
    }

    void hear(const v1::AttachResponse &message) {
        switch (message.kind_case()) {
            case v1::AttachResponse::kAnnouncement: announced(message.announcement()); break;
            case v1::AttachResponse::kBatch: taken(message.batch()); break;
            case v1::AttachResponse::kAcknowledge:
                while (!kept_.empty() && kept_.front().report().sequence() <= message.acknowledge().sequence()) kept_.pop_front();
                break;
            case v1::AttachResponse::kWithdraw: withdrawn(message.withdraw()); break;
            case v1::AttachResponse::kWithdrawEpisodes: withdrawn(message.withdraw_episodes()); break;
            case v1::AttachResponse::kDrain: leave_locked(duration(message.drain().within())); break;
            case v1::AttachResponse::kEvaluation: reject(message.evaluation().name(), "this worker evaluates external problems only"); break;
            // What a newer coordinator says.
            default: break;
        }
    }

    void reject(const std::string &run, const std::string &reason) {
        runs_[run] = nullptr;
        v1::AttachRequest message;
        message.mutable_reject()->set_run(run);
        message.mutable_reject()->set_reason(reason.substr(0, kReasonBytesMax));
        say(message);
    }

    void announced(const v1::RunAnnouncement &announcement) {
        google::protobuf::Struct spec;
        if (!google::protobuf::util::JsonStringToMessage(announcement.spec(), &spec).ok()) return reject(announcement.run(), "the spec is no JSON");
        const auto problem = spec.fields().find("problem");
        if (problem == spec.fields().end()) return reject(announcement.run(), "this worker evaluates external problems only");
        const auto &fields = problem->second.struct_value().fields();
        const auto name = fields.find("name");
        if (name == fields.end() || name->second.string_value() != kProblem) return reject(announcement.run(), "this worker serves `conformance`");
        auto run = std::make_shared<Run>();
        for (const auto &parameter : fields.at("parameters").list_value().values()) {
            const auto &of = parameter.struct_value().fields();
            if (of.at("kind").string_value() == "fixed") {
                run->word = of.at("value").string_value();
                continue;
            }
            const auto length = of.find("length");
            run->parameters.push_back({of.at("name").string_value(), length == of.end() ? 1 : static_cast<size_t>(length->second.number_value())});
        }
        runs_[announcement.run()] = std::move(run);
    }

    void taken(const v1::Batch &batch) {
        const auto found = runs_.find(batch.run());
        // It crossed the rejection.
        if (found == runs_.end() || found->second == nullptr) return;
        const Block block{batch.run(), batch.generation(), batch.purpose(), batch.block()};
        std::deque<Item> items;
        for (const auto &assignment : batch.assignments()) {
            const auto &genome = batch.genomes(static_cast<int>(assignment.genome()));
            items.push_back({number_, block, genome.candidate(), assignment.task(), assignment.seed(), found->second,
                             {genome.parameters().begin(), genome.parameters().end()}});
        }
        if (leave_by_) return give_back(items);
        held_ += items.size();
        std::move(items.begin(), items.end(), std::back_inserter(queue_));
    }

    void withdrawn(const v1::Withdraw &withdraw) {
        drop([&](const Item &item) {
            return std::get<0>(item.block) == withdraw.run() && (!withdraw.has_up_to_generation() || std::get<1>(item.block) <= withdraw.up_to_generation());
        });
    }

    void withdrawn(const v1::BlockEpisodes &of) {
        const Block block{of.run(), of.generation(), of.purpose(), of.block()};
        std::set<std::pair<uint32_t, uint32_t>> episodes;
        for (const auto &episode : of.episodes()) episodes.emplace(episode.candidate(), episode.task());
        drop([&](const Item &item) { return item.block == block && episodes.count({item.candidate, item.task}) > 0; });
    }

    // Forgets what has not begun and is not wanted any more.
    template <typename Unwanted> void drop(Unwanted unwanted) {
        const auto rest = std::remove_if(queue_.begin(), queue_.end(), unwanted);
        held_ -= static_cast<size_t>(queue_.end() - rest);
        queue_.erase(rest, queue_.end());
    }

    void leave_locked(Clock::duration within) {
        const auto by = Clock::now() + within;
        const bool leaves = leave_by_.has_value();
        leave_by_ = leaves ? std::min(*leave_by_, by) : by;
        if (leaves) return;
        v1::AttachRequest message;
        message.mutable_leaving();
        say(message);
        held_ -= queue_.size();
        give_back(queue_);
        queue_.clear();
        wake_.notify_all();
    }

    void give_back(const std::deque<Item> &items) {
        std::map<Block, v1::AttachRequest> messages;
        for (const auto &item : items) {
            auto *given = messages[item.block].mutable_give_back();
            given->set_run(std::get<0>(item.block));
            given->set_generation(std::get<1>(item.block));
            given->set_purpose(std::get<2>(item.block));
            given->set_block(std::get<3>(item.block));
            auto *episode = given->add_episodes();
            episode->set_candidate(item.candidate);
            episode->set_task(item.task);
        }
        for (const auto &[block, message] : messages) say(message);
    }

    // A slot.
    void evaluate_for_ever() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return !queue_.empty(); });
            const Item item = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            auto settlement = evaluate(item);
            lock.lock();
            v1::AttachRequest message;
            auto *report = message.mutable_report();
            report->set_sequence(++last_);
            report->set_run(std::get<0>(item.block));
            report->set_generation(std::get<1>(item.block));
            report->set_purpose(std::get<2>(item.block));
            report->set_block(std::get<3>(item.block));
            *report->add_settlements() = std::move(settlement);
            say(message);
            kept_.push_back(std::move(message));
            // What an earlier stream was given is not held from this one.
            if (item.stream == number_) --held_;
            wake_.notify_all();
        }
    }

    // Heartbeats, while the slots evaluate; and the end.
    void beat_for_ever() {
        std::unique_lock lock(mutex_);
        for (;;) {
            const auto now = Clock::now();
            if (stream_ != nullptr && leave_by_ && !closed_ && (held_ == 0 || *leave_by_ <= now)) {
                stream_->WritesDone();
                closed_ = true;
                close_by_ = now + kCloseTime;
            }
            if (closed_ && close_by_ <= now && context_ != nullptr) context_->TryCancel();
            auto next = now + std::chrono::hours(1);
            if (stream_ != nullptr) {
                const auto beat = said_ + (held_ > 0 ? busy_ : idle_);
                if (beat <= now) {
                    v1::AttachRequest message;
                    message.mutable_heartbeat();
                    say(message);
                    said_ = now;
                    continue;
                }
                next = std::min(next, beat);
            }
            if (closed_) next = std::min(next, std::max(close_by_, now + milliseconds(10)));
            else if (leave_by_) next = std::min(next, *leave_by_);
            wake_.wait_until(lock, next);
        }
    }

    std::unique_ptr<v1::DispatchService::Stub> stub_;
    std::mutex mutex_;
    std::condition_variable wake_;
    Stream *stream_ = nullptr;
    grpc::ClientContext *context_ = nullptr;
    uint64_t number_ = 0;
    std::map<std::string, std::shared_ptr<const Run>> runs_;
    std::deque<Item> queue_;
    // Evaluations of this stream that are not reported or given back.
    size_t held_ = 0;
    // Reports that were not acknowledged.
    std::deque<v1::AttachRequest> kept_;
    uint64_t last_ = 0;
    Clock::duration busy_{}, idle_{};
    Clock::time_point said_{}, close_by_{};
    std::optional<Clock::time_point> leave_by_;
    bool closed_ = false;
};

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: worker ADDRESS\n");
        return 2;
    }
    std::string target = arguments[1];
    const auto scheme = target.find("://");
    if (scheme != std::string::npos) target.erase(0, scheme + 3);
    // Signals are taken by a thread, in which everything may be done.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    Worker worker(target);
    std::thread([&] {
        for (int number;;) {
            sigwait(&signals, &number);
            worker.leave(kLeaveTime);
        }
    }).detach();
    worker.work();
    // Slots that still evaluate are not waited for.
    std::_Exit(0);
}
