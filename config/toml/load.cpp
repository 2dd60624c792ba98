#include "config/toml/load.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/schema/key_reader.hpp"
#include "config/schema/merge.hpp"
#include "config/toml/parse.hpp"

namespace sluice::config {

namespace {

class file_descriptor {
 public:
  explicit file_descriptor(int fd) : fd_(fd) {}
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  ~file_descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// All of an open file; more than `limit` octets is a failure.
result<std::string> read_all(int fd, std::size_t limit, const std::string& path) {
  std::string out;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + path);
    if (got == 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
    if (out.size() > limit)
      return fail(errc::invalid_argument, path + " is longer than " + std::to_string(limit) + " octets");
  }
}

/// Opens a regular file; O_NONBLOCK so that a FIFO cannot hold us up.
result<std::string> read_regular(const std::string& path, std::size_t limit, mode_t forbidden) {
  const file_descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return fail_errno(errno, "open " + path);
  struct stat about;
  if (::fstat(fd.get(), &about) != 0) return fail_errno(errno, "stat " + path);
  if (!S_ISREG(about.st_mode)) return fail(errc::invalid_argument, path + " is no regular file");
  if ((about.st_mode & forbidden) != 0)
    return fail(errc::permission, path + " can be read or written by others; chmod 600 it");
  return read_all(fd.get(), limit, path);
}

diagnostics check_files(const model& m, const known_types& known) {
  diagnostics wrong;
  for (const fabric_rules& fabric : known.fabrics)
    if (fabric.check_files) fabric.check_files(m, wrong);
  return wrong;
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "sluice";
  return name;
}

reading failed_reading(const diagnostic& why) {
  reading out;
  out.wrong.push_back(why);
  return out;
}

reading read_text(std::string_view text, const std::string& directory, const known_types& known) {
  const auto document = parse_toml(text);
  return document ? read(*document, directory, known) : failed_reading(document.error());
}

/// With an empty text to share, what the own one says alone.
reading read_merged(std::string_view own, std::string_view shared, const std::string& directory,
                    const known_types& known) {
  auto ours = parse_toml(own);
  if (!ours) return failed_reading(ours.error());
  auto theirs = parse_toml(shared);
  if (!theirs) {
    theirs.error().at.is_shared = true;
    return failed_reading(theirs.error());
  }
  diagnostics clashes;
  reading out = read(merge(std::move(*ours), std::move(*theirs), clashes), directory, known);
  out.wrong.insert(out.wrong.end(), clashes.begin(), clashes.end());
  return out;
}

/// What is wrong between the parts of a gateway's own file waits for what is shared.
reading read_own(std::string_view text, const std::string& directory, const known_types& known, diagnostics& unsure) {
  const auto document = parse_toml(text);
  if (!document) return failed_reading(document.error());
  reading out = read_part(*document, directory, known);
  validate(out.what, known, out.what.cluster ? unsure : out.wrong);
  return out;
}

/// A file as `read_as` reads it; the secrets that it names are looked at.
template <class Read>
loaded load_as(const std::string& path, const std::string& shared_name, const known_types& known, Read read_as) {
  constexpr std::size_t longest_file = 4 << 20;
  const result<std::string> text = read_regular(path, longest_file, 0);
  if (!text)
    return tl::unexpected<refused>(
        refused{path, {{{1, 1}, "file", text.error().message, "a readable TOML file of at most 4 MiB"}}});
  std::error_code ignored;
  const std::filesystem::path full = std::filesystem::absolute(path, ignored);
  reading r = read_as(*text, full.parent_path().string());
  const diagnostics files = check_files(r.what, known);
  r.wrong.insert(r.wrong.end(), files.begin(), files.end());
  sort_by_place(r.wrong);
  if (!r.wrong.empty()) return tl::unexpected<refused>(refused{path, std::move(r.wrong), shared_name});
  if (r.what.gateway.name.empty()) r.what.gateway.name = host_name();
  return std::move(r.what);
}

}  // namespace

std::string refused::to_string() const {
  std::string out;
  for (const diagnostic& d : why) out += (out.empty() ? "" : "\n") + format(d, file_of(d));
  return out;
}

loaded load_text(std::string_view text, const std::string& file, const std::string& directory,
                 const known_types& known) {
  reading r = read_text(text, directory, known);
  if (!r.wrong.empty()) return tl::unexpected<refused>(refused{file, std::move(r.wrong)});
  return std::move(r.what);
}

loaded load_file(const std::string& path, const known_types& known) {
  return load_as(path, {}, known,
                 [&](const std::string& text, const std::string& folder) { return read_text(text, folder, known); });
}

loaded load_file(const std::string& path, const shared_text& shared, const known_types& known) {
  return load_as(path, shared.name, known, [&](const std::string& text, const std::string& folder) {
    return read_merged(text, shared.text, folder, known);
  });
}

loaded load_own_file(const std::string& path, const known_types& known, diagnostics& unsure) {
  auto own = load_as(path, {}, known, [&](const std::string& text, const std::string& folder) {
    return read_own(text, folder, known, unsure);
  });
  sort_by_place(unsure);
  return own;
}

result<shared_text> read_shared_file(const std::string& path) {
  auto text = read_regular(path, shared_text::max_bytes, 0);
  if (!text) return tl::unexpected(text.error());
  return shared_text{std::move(*text), path};
}

result<std::string> read_secret(const std::string& path) {
  constexpr std::size_t shortest = 12, longest = 255;  // 96 bits [RFC7143 9.2.1]; an octet counts the length elsewhere
  result<std::string> text = read_regular(path, 4096, S_IRWXG | S_IRWXO);
  if (!text) return text;
  const std::size_t end = std::min(text->find('\n'), text->size());
  if (text->find_first_not_of("\r\n", end) != std::string::npos)
    return fail(errc::invalid_argument, path + " has more than one line");
  text->resize(end);
  if (text->ends_with('\r')) text->pop_back();
  if (text->size() < shortest || text->size() > longest)
    return fail(errc::invalid_argument, path + " holds a secret of " + std::to_string(text->size()) + " octets");
  return text;
}

}  // namespace sluice::config
