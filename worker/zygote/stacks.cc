// The zygote's end of the stacks' memory.
#include "worker/zygote/stacks.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>

namespace appd::zygote {
namespace {

std::size_t size_of(int memory) {
  struct stat status {};
  return ::fstat(memory, &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::string text_at(int memory, std::size_t at, std::size_t size) {
  std::string text(size, '\0');
  ssize_t count = ::pread(memory, text.data(), size, static_cast<off_t>(at));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

// 'R', 'S', 'T' …; see proc(5). The name in parentheses may hold anything.
char process_state(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  std::size_t at = line.rfind(") ");
  return at == std::string::npos || at + 2 >= line.size() ? '?' : line[at + 2];
}

std::string why_incomplete(pid_t pid, bool nothing) {
  char state = process_state(pid);
  if (state == 'T') return "-- the process is stopped (SIGSTOP) and could not answer --\n";
  if (state == 'D') return "-- the process waits in the kernel and could not answer --\n";
  return nothing ? "-- the process did not answer --\n"
                 : "-- no tasks or greenlets: the interpreter's lock was not to be had --\n";
}

}  // namespace

// Of the real-time signals, which libraries hardly use.
int StacksFile::request_signal() { return SIGRTMIN + 11; }

void StacksFile::ignore_requests() { ::signal(request_signal(), SIG_IGN); }

Result<StacksFile> StacksFile::create() {
  UniqueFd memory(::memfd_create("appd-stacks", MFD_CLOEXEC));
  if (!memory) return sys_error("STACKS_CREATE", "create memory for stacks", errno);
  return StacksFile(std::move(memory));
}

void StacksFile::ask(pid_t pid) const {
  // The offset is shared with the worker, which writes without looking.
  if (::ftruncate(memory_.get(), 0) < 0 || ::lseek(memory_.get(), 0, SEEK_SET) < 0) return;
  ::kill(pid, request_signal());
}

bool StacksFile::complete() const {
  std::size_t size = size_of(memory_.get());
  return size >= kEnd.size() && text_at(memory_.get(), size - kEnd.size(), kEnd.size()) == kEnd;
}

std::string StacksFile::read(pid_t pid) const {
  std::size_t size = size_of(memory_.get());
  bool whole = complete();
  if (whole) size -= kEnd.size();
  std::string text = text_at(memory_.get(), 0, std::min(size, kMost));
  if (size > kMost) text += "\n-- cut: there is more --\n";
  return whole ? text : text + why_incomplete(pid, size == 0);
}

}  // namespace appd::zygote
