// A signal handler, and a thread that writes what a handler cannot know.
#include "worker/zygote/stacks_offer.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "worker/zygote/stacks.h"

namespace appd::zygote {
namespace {

// For the signal handler.
sem_t asked;

void on_request(int) {
  int saved = errno;
  ::sem_post(&asked);
  errno = saved;
}

[[noreturn]] void write_tasks(int memory, const gateway::Hooks& hooks) {
  for (;;) {
    if (::sem_wait(&asked) < 0) continue;
    PyGILState_STATE state = PyGILState_Ensure();
    hooks.write_tasks(memory);
    PyGILState_Release(state);
    if (::write(memory, StacksFile::kEnd.data(), StacksFile::kEnd.size()) < 0)
      continue;  // no memory: it shows
  }
}

}  // namespace

void offer_stacks(int memory, const gateway::Hooks& hooks) {
  ::sem_init(&asked, 0, 0);
  // faulthandler calls the handler that it replaces.
  struct sigaction action {};
  action.sa_handler = on_request;
  action.sa_flags = SA_RESTART;
  ::sigaction(StacksFile::request_signal(), &action, nullptr);
  hooks.offer_stacks(memory, StacksFile::request_signal());
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([memory, &hooks] { write_tasks(memory, hooks); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace appd::zygote
