#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "actors/reactor/descriptor_watch.hpp"
#include "actors/reactor/message_contract.hpp"

/// What only the system itself has: descriptors of other kinds, peers that do not keep to our bounds.
namespace sluice::reactor {
namespace {

class real_messages : public message_contract {};

struct broken_watch final : descriptor_watch {
  unsigned seen = 0;
  bool stopped = false;
  using descriptor_watch::descriptor_watch;
  void on_ready(unsigned events) noexcept override {
    seen = events;
    if (events & poll_event::broken) stop();
  }
  void on_stopped(std::int64_t) noexcept override { stopped = true; }
};

}  // namespace

TEST_P(real_messages, timers_and_pipes_are_polled) {
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  const itimerspec soon{{0, 0}, {0, 5'000'000}};
  ASSERT_EQ(::timerfd_settime(timer, 0, &soon, nullptr), 0);
  recorder op;
  on().poll(op, timer, poll_event::readable);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, poll_event::readable);
  ::close(timer);

  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  broken_watch watch(on());
  ASSERT_TRUE(do_on_loop([&] { watch.start(ends[0], poll_event::readable); }));
  idle();
  EXPECT_EQ(watch.seen, 0u);
  ::close(ends[1]);
  ASSERT_TRUE(until([&] { return watch.stopped; }));
  EXPECT_EQ(watch.seen & poll_event::broken, poll_event::broken);
  ::close(ends[0]);
}

TEST_P(real_messages, a_file_is_always_ready) {
  const handle h = new_file("plain");
  recorder op;
  on().poll(op, h, poll_event::readable);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value & poll_event::readable, poll_event::readable);
  on().close(h);
}

TEST_P(real_messages, draining_what_is_no_event_never_waits) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);  // blocking, and empty
  EXPECT_LT(sockets().drain(ends[0]), 0);
  EXPECT_LT(sockets().signal(ends[0]), 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(real_messages, passed_handles_are_closed_on_exec_and_what_is_too_many_is_told) {
  const std::string path = driver_->file_path("peer");
  const handle listener = sockets().listen_local(path, 4).value();
  const int peer = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  recorder accepted;
  on().accept(accepted, listener);
  ASSERT_TRUE(completed(accepted));
  const auto server = static_cast<handle>(accepted.value);
  EXPECT_EQ(sockets().credentials(server)->process, ::getpid());

  constexpr std::size_t count = passed_handles::limit + 20;
  int many[count];
  std::fill_n(many, count, ::dup(peer));
  char octet = 'x';
  iovec part{&octet, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof many)]{};
  msghdr sent{nullptr, 0, &part, 1, control, sizeof control, 0};
  cmsghdr* rights = CMSG_FIRSTHDR(&sent);
  *rights = {CMSG_LEN(sizeof many), SOL_SOCKET, SCM_RIGHTS};
  std::memcpy(CMSG_DATA(rights), many, sizeof many);
  const std::size_t before = driver_->open_handles();
  ASSERT_EQ(::sendmsg(peer, &sent, 0), 1);
  std::vector<std::uint8_t> room(16);
  {
    message came{.into = room};
    EXPECT_EQ(receive(server, came), 1);
    ASSERT_EQ(came.passed.size(), passed_handles::limit);
    EXPECT_TRUE(came.handles_lost);
    EXPECT_EQ(driver_->open_handles(), before + passed_handles::limit);
    const handle one = came.passed.take(0);
    EXPECT_NE(::fcntl(one, F_GETFD) & FD_CLOEXEC, 0);
    ::close(one);
  }
  EXPECT_EQ(driver_->open_handles(), before);
  ::close(many[0]);
  ::close(peer);
  on().close(server);
  on().close(listener);
}

TEST_P(real_messages, something_else_at_the_path_is_left_alone) {
  const std::string path = driver_->file_path("file");
  on().close(new_file("file"));
  const auto made = sockets().listen_local(path, 4);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, errc::already_exists);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_P(real_messages, a_local_socket_is_for_its_user_alone) {
  const std::string path = driver_->file_path("own");
  const handle listener = sockets().listen_local(path, 4).value();
  EXPECT_EQ(std::filesystem::status(path).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  on().close(listener);
}

TEST_P(real_messages, generic_netlink_tells_of_its_families) {
  const handle netlink = sockets().open_netlink(netlink_family::generic).value();
  // CTRL_CMD_GETFAMILY for the family of the controller itself.
  const genlmsghdr about{CTRL_CMD_GETFAMILY, 1, 0};
  std::vector<std::uint8_t> body;
  append(body, &about, sizeof about);
  append_attribute(body, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7);
  std::vector<std::uint8_t> request = netlink_message(GENL_ID_CTRL, body);
  const std::uint16_t flags = NLM_F_REQUEST;
  std::memcpy(request.data() + offsetof(nlmsghdr, nlmsg_flags), &flags, sizeof flags);
  EXPECT_EQ(send(netlink, request), static_cast<std::int64_t>(request.size()));
  std::vector<std::uint8_t> room(16384);
  datagram came{.into = room};
  const std::int64_t got = receive(netlink, came);
  ASSERT_GT(got, static_cast<std::int64_t>(sizeof(nlmsghdr) + sizeof(genlmsghdr)));
  nlmsghdr header;
  std::memcpy(&header, room.data(), sizeof header);
  EXPECT_EQ(header.nlmsg_type, GENL_ID_CTRL);
  EXPECT_EQ(room[sizeof header], CTRL_CMD_NEWFAMILY);
  // The groups of a family are joined by their ids: 16 is "notify" of nlctrl.
  EXPECT_TRUE(sockets().join_group(netlink, 16));
  on().close(netlink);
}

INSTANTIATE_TEST_SUITE_P(kinds, real_messages,
                         ::testing::Values(kind_of_loop{"uring", make_uring_driver},
                                           kind_of_loop{"epoll", make_epoll_driver}),
                         name_of_kind);

}  // namespace sluice::reactor
