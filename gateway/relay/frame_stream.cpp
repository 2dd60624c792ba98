#include "gateway/relay/frame_stream.hpp"

#include <algorithm>
#include <cerrno>

namespace sluice::relay {

frame_stream::frame_stream(reactor::loop& loop, reactor::handle connection, secure_channel::side which,
                           const secret& shared, user& of)
    : loop_(loop), connection_(connection), user_(of), tls_(which, shared), input_(strangers_bytes) {}

frame_stream::~frame_stream() {
  SLUICE_CHECK(!received_.in_flight() && !writable_.in_flight() && !flush_.queued_ && !settle_.queued_);
  if (!told_) loop_.close(connection_);
}

void frame_stream::start() {
  if (const auto through = tls_.advance(); !through) return close(through.error().code, through.error().message);
  loop_.at_turn_end(flush_);
  receive();
}

void frame_stream::receive() {
  if (secured_) input_.resize(receive_bytes);
  loop_.receive(received_, connection_, input_);
}

void frame_stream::on_received(std::int64_t result) noexcept {
  if (ends_) return loop_.defer(settle_);
  if (result <= 0) return close(errc::closed, result == 0 ? "the peer has gone" : "the connection broke");
  tls_.feed(const_bytes(input_).first(static_cast<std::size_t>(result)));
  read_all();
  if (ends_) return;
  loop_.at_turn_end(flush_);
  receive();
}

void frame_stream::read_all() {
  if (!secured_) {
    const auto through = tls_.advance();
    if (!through) return close(through.error().code, through.error().message);
    if (!*through) return;
    secured_ = true;
    user_.on_secured();
  }
  while (!ends_) {
    const auto more = read_step();
    if (!more) return close(more.error().code, more.error().message);
    if (!*more) return;
  }
}

/// Fills what is left of `into`, whose first filled_ octets are there; whether it is full.
result<bool> frame_stream::fill(bytes into) {
  while (filled_ < into.size()) {
    const auto got = tls_.read(into.subspan(filled_));
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return false;
    filled_ += *got;
  }
  filled_ = 0;
  return true;
}

/// False: there is nothing more by now.
result<bool> frame_stream::read_step() {
  switch (at_) {
    case part::head: {
      const auto full = fill(bytes(text_).first(header_bytes));
      if (!full || !*full) return full;
      const auto decoded = decode_header(bytes(text_).first(header_bytes));
      if (!decoded) return tl::unexpected(decoded.error());
      head_ = *decoded;
      at_ = part::body;
      return true;
    }
    case part::body: {
      const auto full = fill(bytes(text_).first(head_.body));
      if (!full || !*full) return full;
      const auto sink = user_.on_frame(head_, const_bytes(text_).first(head_.body));
      if (!sink) return tl::unexpected(sink.error());
      SLUICE_CHECK(sink->empty() || sink->size() == head_.payload);
      sink_ = *sink;
      at_ = part::payload;
      return true;
    }
    case part::payload: {
      while (filled_ < head_.payload) {
        const std::size_t left = head_.payload - filled_;
        const bytes into = sink_.empty() ? bytes(text_).first(std::min(left, text_.size())) : sink_.subspan(filled_);
        const auto got = tls_.read(into);
        if (!got) return tl::unexpected(got.error());
        if (*got == 0) return false;
        filled_ += *got;
      }
      filled_ = 0;
      sink_ = {};
      at_ = part::head;
      user_.on_payload(head_);
      return true;
    }
  }
  return false;
}

void frame_stream::send(frame what, std::uint32_t number, const_bytes body, const iovec* parts, std::size_t count) {
  if (ends_) return;
  SLUICE_CHECK(secured_ && body.size() <= max_body);
  std::array<std::uint8_t, header_bytes + max_body> text;
  header h{what, static_cast<std::uint16_t>(body.size()), number, 0};
  for (std::size_t i = 0; i < count; ++i) h.payload += static_cast<std::uint32_t>(parts[i].iov_len);
  encode(h, text);
  std::copy(body.begin(), body.end(), text.begin() + header_bytes);
  auto written = tls_.write(const_bytes(text).first(header_bytes + body.size()));
  for (std::size_t i = 0; i < count && written; ++i)
    written = tls_.write({static_cast<const std::uint8_t*>(parts[i].iov_base), parts[i].iov_len});
  if (!written) return close(written.error().code, written.error().message);
  was_congested_ = was_congested_ || congested();
  loop_.at_turn_end(flush_);
}

void frame_stream::flush() noexcept {
  if (ends_) return settle();
  std::vector<std::uint8_t>& output = tls_.output();
  while (sent_ < output.size()) {
    const iovec rest{output.data() + sent_, output.size() - sent_};
    const std::int64_t went = loop_.send_now(connection_, &rest, 1);
    if (went == -EAGAIN) {
      if (!writable_.in_flight()) loop_.wait_writable(writable_, connection_);
      break;
    }
    if (went < 0) return close(errc::closed, "the connection broke");
    sent_ += static_cast<std::size_t>(went);
  }
  if (sent_ == output.size() || sent_ >= enough) {
    output.erase(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
  if (was_congested_ && !congested()) {
    was_congested_ = false;
    user_.on_room();
  }
}

void frame_stream::on_writable(std::int64_t) noexcept {
  ends_ ? loop_.defer(settle_) : loop_.at_turn_end(flush_);
}

void frame_stream::close(errc code, std::string why) {
  if (ends_) return;
  ends_ = true;
  why_ = {code, std::move(why)};
  loop_.shutdown(connection_);
  if (received_.in_flight()) loop_.cancel(received_);
  if (writable_.in_flight()) loop_.cancel(writable_);
  loop_.defer(settle_);
}

/// Tells the user when nothing is in flight any more.
void frame_stream::settle() noexcept {
  if (told_ || received_.in_flight() || writable_.in_flight() || flush_.queued_ || settle_.queued_) return;
  told_ = true;
  loop_.close(connection_);
  const error why = why_;
  user_.on_broken(why);  // may destroy this
}

}  // namespace sluice::relay
