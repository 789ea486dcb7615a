// A small persistent thread pool. One run at a time holds the workers; concurrent runs execute their tasks on
// the calling thread, so that concurrent engines never oversubscribe the processor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace e4s {

class Pool {
 public:
  // threads: number of threads, the calling one included.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Holds the workers for one run. If another run holds them, tasks run on the calling thread.
  class Lease {
   public:
    // most: limit of threads; 0: all.
    Lease(Pool& pool, int most);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // Number of threads that may run tasks at the same time: worker numbers are below it.
    int width() const { return width_; }

    // Calls f(task, worker) for every task in [0, tasks). f must not throw.
    template <class F>
    void each(std::int64_t tasks, const F& f) const {
      run(
          tasks,
          [](const void* context, std::int64_t task, int worker) {
            (*static_cast<const F*>(context))(task, worker);
          },
          &f);
    }

   private:
    using Call = void (*)(const void* context, std::int64_t task, int worker);
    void run(std::int64_t tasks, Call call, const void* context) const;

    Pool& pool_;
    int width_ = 1;
  };

 private:
  struct Job {
    void (*call)(const void*, std::int64_t, int) = nullptr;
    const void* context = nullptr;
    std::int64_t tasks = 0;
  };

  // What is to be done, in one word, so that a thread that wakes late takes no task of another job: 24 bits
  // number the job, 8 are its width less 1, 32 count the tasks that nobody has taken.
  using State = std::uint64_t;
  static constexpr std::int64_t kMostTasks = 0xffffffff;
  static std::int64_t left(State state) { return static_cast<std::int64_t>(state & kMostTasks); }
  static int width(State state) { return static_cast<int>(state >> 32 & 0xff) + 1; }
  static std::uint64_t number(State state) { return state >> 40; }

  void work(int worker);
  void drain(int worker);
  bool idle(std::uint64_t seen) const { return number(state_.load(std::memory_order_acquire)) == seen; }

  std::vector<std::thread> workers_;
  std::mutex leased_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Job job_;  // written when the last one's tasks are done, read by who has taken a task
  std::atomic<State> state_{0};
  std::atomic<std::int64_t> done_{0};
  std::atomic<bool> active_{false};
  std::atomic<bool> stop_{false};
};

// Returns the mutex of the runtime's short critical sections. It is held across every fork of the process, so
// that a forked child never finds it locked by a thread that it does not have.
std::mutex& runtime_mutex();

// Returns the process's pool, with E4S_THREADS threads or one per processor in the affinity mask. A forked
// child has its own pool.
Pool& shared_pool();

}  // namespace e4s
