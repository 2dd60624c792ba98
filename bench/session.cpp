#include "bench/session.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::bench {
namespace {

constexpr std::uint32_t discard_in_kernel = 32768;  // from here on a second system call is cheaper than the copy
constexpr std::uint32_t max_small_data = 65536;

}  // namespace

session::session(connection c, std::uint64_t lun, unsigned depth, std::uint32_t extent_bytes, std::uint32_t block_size,
                 bool verify, bool fua, const std::uint8_t* static_data, completion done)
    : connection_(c),
      lun_(lun),
      extent_bytes_(extent_bytes),
      block_size_(block_size),
      verify_(verify),
      fua_(fua),
      static_data_(static_data),
      done_(std::move(done)),
      ios_(depth) {
  for (unsigned i = depth; i-- > 0;) free_.push_back(i);
  if (verify_)
    for (auto& x : ios_) x.data.resize(extent_bytes_);
}

session::~session() {
  if (connection_.fd >= 0) ::close(connection_.fd);
}

void session::end() {
  if (connection_.fd < 0) return;
  if (outstanding() == 0 && !wants_to_send() && header_got_ == 0) return log_out(connection_);
  ::close(connection_.fd);
  connection_.fd = -1;
}

io* session::free_io() {
  bool window_open = static_cast<std::int32_t>(connection_.max_cmd_sn - connection_.cmd_sn) >= 0;
  return free_.empty() || !window_open ? nullptr : &ios_[free_.back()];
}

void session::submit(io& x) {
  free_.pop_back();
  x.active = true;
  send_command(x);
}

void session::send_command(io& x) {
  auto tag = static_cast<std::uint32_t>(&x - ios_.data());
  x.arrived = 0;
  auto& c = connection_;
  out_pdu p{make_scsi_command(tag, lun_, x.write, extent_bytes_)};
  std::uint64_t lba = x.slot * (extent_bytes_ / block_size_);
  set_block_cdb(p.header, x.write, lba, extent_bytes_ / block_size_, fua_ && x.write);
  wire::store32(p.header, 24, c.cmd_sn++);
  wire::store32(p.header, 28, c.exp_stat_sn);
  std::uint32_t unsolicited = x.write ? std::min(c.first_burst, extent_bytes_) : 0;
  if (x.write && c.immediate_data) {
    p.length = std::min(unsolicited, c.target_max_recv);
    p.data = data_of(x);
    wire::store24(p.header, 5, p.length);
  }
  std::uint32_t sent = p.length;
  bool more = x.write && !c.initial_r2t && unsolicited > sent;
  if (more) p.header[1] &= static_cast<std::uint8_t>(~final_bit);
  queue_.push_back(p);
  if (more) queue_data_out(tag, no_tag, sent, unsolicited - sent);
}

void session::queue_data_out(std::uint32_t tag, std::uint32_t transfer_tag, std::uint32_t offset,
                             std::uint32_t length) {
  for (std::uint32_t data_sn = 0; length > 0; ++data_sn) {
    out_pdu p{};
    p.length = std::min(length, connection_.target_max_recv);
    p.data = data_of(ios_[tag]) + offset;
    p.header[0] = data_out;
    p.header[1] = p.length == length ? final_bit : 0;
    wire::store24(p.header, 5, p.length);
    wire::store64(p.header, 8, lun_ << 48);
    wire::store32(p.header, 16, tag);
    wire::store32(p.header, 20, transfer_tag);
    wire::store32(p.header, 28, connection_.exp_stat_sn);
    wire::store32(p.header, 36, data_sn);
    wire::store32(p.header, 40, offset);
    queue_.push_back(p);
    offset += p.length;
    length -= p.length;
  }
}

bool session::flush() {
  while (head_ < queue_.size()) {
    iovec parts[max_iovecs];
    std::size_t count = 0;
    std::size_t skip = head_sent_;
    for (std::size_t i = head_; i < queue_.size() && count + 2 <= max_iovecs; ++i) {
      auto& p = queue_[i];
      if (skip < p.header.size()) {
        parts[count++] = {p.header.data() + skip, p.header.size() - skip};
        skip = 0;
      } else {
        skip -= p.header.size();
      }
      if (p.length) parts[count++] = {const_cast<std::uint8_t*>(p.data) + skip, p.length - skip};
      skip = 0;
    }
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    auto sent = ::sendmsg(connection_.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR || broken(std::string("send: ") + std::strerror(errno));
    head_sent_ += static_cast<std::size_t>(sent);
    while (head_ < queue_.size() && head_sent_ >= queue_[head_].header.size() + queue_[head_].length) {
      head_sent_ -= queue_[head_].header.size() + queue_[head_].length;
      ++head_;
    }
  }
  queue_.clear();
  head_ = 0;
  return true;
}

bool session::receive(bytes scratch, std::uint64_t now) {
  turn_ns_ = now;
  bool drop = !verify_ && receiving_ && data_left_ >= discard_in_kernel;
  bool header_only = !verify_ && extent_bytes_ >= discard_in_kernel;
  void* to = drop ? nullptr : scratch.data();
  std::size_t length = scratch.size();
  if (drop) {
    length = data_left_;
  } else if (header_only) {
    length = data_left_ + padding_left_ > 0 ? data_left_ + padding_left_ : bhs{}.size() - header_got_;
  }
  auto got = ::recv(connection_.fd, to, length, MSG_DONTWAIT | (drop ? MSG_TRUNC : 0));
  if (got == 0) return broken("the target closed the connection");
  if (got < 0) return errno == EAGAIN || errno == EINTR || broken(std::string("receive: ") + std::strerror(errno));
  if (!drop) return handle_bytes(scratch.first(static_cast<std::size_t>(got)));
  auto dropped = static_cast<std::uint32_t>(got);
  receiving_->arrived += dropped;
  data_left_ -= dropped;
  return data_left_ + padding_left_ > 0 || end_pdu();
}

bool session::handle_bytes(const_bytes got) {
  while (!got.empty()) {
    if (data_left_ > 0) {
      auto part = got.first(std::min<std::size_t>(got.size(), data_left_));
      take_data(part);
      got = got.subspan(part.size());
      data_left_ -= static_cast<std::uint32_t>(part.size());
    } else if (padding_left_ > 0) {
      auto skipped = std::min<std::size_t>(got.size(), padding_left_);
      got = got.subspan(skipped);
      padding_left_ -= static_cast<std::uint32_t>(skipped);
    } else {
      auto part = got.first(std::min(got.size(), header_.size() - header_got_));
      std::memcpy(header_.data() + header_got_, part.data(), part.size());
      header_got_ += part.size();
      got = got.subspan(part.size());
      if (header_got_ < header_.size()) return true;
      if (!begin_pdu()) return false;
    }
    if (data_left_ + padding_left_ == 0 && !end_pdu()) return false;
  }
  return true;
}

/// A whole header has come.
bool session::begin_pdu() {
  if (header_[4] != 0) return broken("an additional header segment");
  data_left_ = data_segment_length(header_);
  padding_left_ = padding(data_left_);
  receiving_ = nullptr;
  small_data_.clear();
  if (opcode_of(header_) != data_in) return data_left_ <= max_small_data || broken("an overlong data segment");
  auto tag = wire::load32(header_, 16);
  data_offset_ = wire::load32(header_, 40);
  if (tag >= ios_.size() || !ios_[tag].active || ios_[tag].write) return broken("data-in for no command");
  if (data_offset_ > extent_bytes_ || data_left_ > extent_bytes_ - data_offset_) return broken("data-in out of bounds");
  receiving_ = &ios_[tag];
  return true;
}

void session::take_data(const_bytes part) {
  if (!receiving_) {
    small_data_.insert(small_data_.end(), part.begin(), part.end());
    return;
  }
  auto& x = *receiving_;
  if (verify_ && x.generation != 0 && std::memcmp(x.data.data() + data_offset_, part.data(), part.size()) != 0) {
    ++counters_.mismatches;
    note_error("data of LBA " + std::to_string(x.slot * (extent_bytes_ / block_size_)) + " differs");
  }
  x.arrived += static_cast<std::uint32_t>(part.size());
  data_offset_ += static_cast<std::uint32_t>(part.size());
}

/// A whole PDU has come.
bool session::end_pdu() {
  header_got_ = 0;
  receiving_ = nullptr;
  auto& c = connection_;
  auto code = opcode_of(header_);
  bool with_status = code == scsi_response || code == async_message || (code == data_in && (header_[1] & status_bit));
  if (static_cast<std::int32_t>(wire::load32(header_, 32) - c.max_cmd_sn) > 0) c.max_cmd_sn = wire::load32(header_, 32);
  if (with_status) c.exp_stat_sn = wire::load32(header_, 24) + 1;
  if (code == data_in && !with_status) return true;
  if (code == nop_in) return answer_nop();
  if (code == async_message) return header_[36] == scsi_event || broken("the target ends the session");
  if (code != scsi_response && code != data_in && code != r2t)
    return broken("an unexpected PDU, opcode " + std::to_string(code));
  auto tag = wire::load32(header_, 16);
  if (tag >= ios_.size() || !ios_[tag].active) return broken("an answer to no command");
  auto& x = ios_[tag];
  if (code == r2t) {
    auto offset = wire::load32(header_, 40), length = wire::load32(header_, 44);
    if (!x.write || offset > extent_bytes_ || length > extent_bytes_ - offset) return broken("R2T out of bounds");
    queue_data_out(tag, wire::load32(header_, 20), offset, length);
    return true;
  }
  finish(x, code == scsi_response && header_[2] != 0 ? 0xff : header_[3]);
  return true;
}

/// Whether a CHECK CONDITION's data segment (sense length, then fixed format sense) says UNIT ATTENTION.
static bool is_unit_attention(const std::vector<std::uint8_t>& response) {
  return response.size() > 4 && (response[2] & 0x7f) == 0x70 && (response[4] & 0xf) == 6;
}

void session::finish(io& x, std::uint8_t status) {
  // Told once, and not done: as initiators do, ask again [SAM-5 5.14].
  if (status == 2 && is_unit_attention(small_data_)) return send_command(x);
  if (status != 0) {
    ++counters_.errors;
    note_error(status == 2 ? describe_sense(small_data_) : "status " + std::to_string(status));
  } else if (!x.write && x.arrived != extent_bytes_) {
    ++counters_.errors;
    note_error("a read ended short");
  }
  x.active = false;
  free_.push_back(static_cast<std::uint32_t>(&x - ios_.data()));
  done_(*this, x);
}

bool session::answer_nop() {
  auto transfer_tag = wire::load32(header_, 20);
  if (transfer_tag == no_tag) return true;
  out_pdu p{};
  p.header[0] = nop_out | immediate_bit;
  p.header[1] = final_bit;
  std::memcpy(p.header.data() + 8, header_.data() + 8, 8);
  wire::store32(p.header, 16, no_tag);
  wire::store32(p.header, 20, transfer_tag);
  wire::store32(p.header, 24, connection_.cmd_sn);
  wire::store32(p.header, 28, connection_.exp_stat_sn);
  queue_.push_back(p);
  return true;
}

bool session::broken(std::string why) {
  ++counters_.errors;
  note_error(std::move(why));
  return false;
}

void session::note_error(std::string why) {
  if (counters_.first_error.empty()) counters_.first_error = std::move(why);
}

}  // namespace sluice::bench
