#include "parallel.h"

#include <cstdlib>
#include <string>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <unistd.h>
#endif

#include "error.h"

namespace e4s {
namespace {

// A run of a network is hundreds of short parallel steps: workers spin this many times between steps before
// they sleep, and sleep immediately when the run ends.
constexpr int kSpins = 20000;
constexpr int kMostThreads = 256;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : static_cast<int>(count);
}

int chosen_threads() {
  const char* text = std::getenv("E4S_THREADS");
  if (text == nullptr || *text == '\0') return processors() < kMostThreads ? processors() : kMostThreads;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 1 || value > kMostThreads)
    throw ArgumentError("E4S_THREADS: expected a number in 1..256, got '" + std::string(text) + "'");
  return static_cast<int>(value);
}

long process() {
#if defined(__unix__) || defined(__APPLE__)
  return static_cast<long>(getpid());
#else
  return 0;
#endif
}

}  // namespace

Pool::Pool(int threads) {
  workers_.reserve(static_cast<std::size_t>(threads));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    // The system gives no more threads, as in containers with a limit: those that exist do the work.
  }
}

Pool::~Pool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::drain(int worker) {
  State state = state_.load(std::memory_order_acquire);
  while (left(state) > 0 && worker < width(state)) {
    if (!state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel)) continue;
    job_.call(job_.context, job_.tasks - left(state), worker);
    done_.fetch_add(1, std::memory_order_release);
    state = state_.load(std::memory_order_acquire);
  }
}

void Pool::work(int worker) {
  for (std::uint64_t seen = 0;;) {
    for (int i = 0; i < kSpins && active_.load(std::memory_order_relaxed) && idle(seen); ++i) pause();
    if (idle(seen)) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_.load() || !idle(seen); });
    }
    if (stop_.load()) return;
    seen = number(state_.load(std::memory_order_acquire));
    drain(worker);
  }
}

Pool::Lease::Lease(Pool& pool, int most) : pool_(pool) {
  const int width = most > 0 && most < pool.threads() ? most : pool.threads();
  if (width == 1 || !pool_.leased_.try_lock()) return;
  width_ = width;
  pool_.active_ = true;
}

Pool::Lease::~Lease() {
  if (width_ == 1) return;
  pool_.active_ = false;
  pool_.leased_.unlock();
}

void Pool::Lease::run(std::int64_t tasks, Call call, const void* context) const {
  if (width_ == 1 || tasks <= 1 || tasks > kMostTasks) {
    for (std::int64_t task = 0; task < tasks; ++task) call(context, task, 0);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(pool_.mutex_);
    const State number = Pool::number(pool_.state_.load(std::memory_order_relaxed)) + 1;
    pool_.job_ = {call, context, tasks};
    pool_.done_.store(0, std::memory_order_relaxed);
    pool_.state_.store(number << 40 | static_cast<State>(width_ - 1) << 32 | static_cast<State>(tasks),
                       std::memory_order_release);
  }
  pool_.wake_.notify_all();
  pool_.drain(0);
  // For tasks that others have taken; who sleeps or was held up before it took one is not waited for.
  for (int i = 0; pool_.done_.load(std::memory_order_acquire) != tasks; ++i) {
    if (i < kSpins)
      pause();
    else
      std::this_thread::yield();
  }
}

std::mutex& runtime_mutex() {
  // Never destroyed: daemon threads may still run while the process exits.
  static std::mutex* const mutex = [] {
    auto* created = new std::mutex;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork([] { runtime_mutex().lock(); }, [] { runtime_mutex().unlock(); },
                   [] { runtime_mutex().unlock(); });
#endif
    return created;
  }();
  return *mutex;
}

namespace {
// At load time, when no other thread can be inside its initialisation at a fork.
[[maybe_unused]] const std::mutex& kRegistered = runtime_mutex();
}  // namespace

Pool& shared_pool() {
  // Never destroyed: joining threads at process exit can hang, and a forked child has none to join.
  static Pool* pool = nullptr;
  static long owner = 0;
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  if (pool == nullptr || owner != process()) {
    pool = new Pool(chosen_threads());
    owner = process();
  }
  return *pool;
}

}  // namespace e4s
