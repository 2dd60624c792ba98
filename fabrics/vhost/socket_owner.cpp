#include "fabrics/vhost/socket_owner.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sluice::vhost {
namespace {

struct names {
  std::string user, group;
};

names parts_of(const std::string& owner) {
  const std::size_t colon = owner.find(':');
  if (colon == std::string::npos) return {owner, ""};
  return {owner.substr(0, colon), owner.substr(colon + 1)};
}

}  // namespace

std::string owner_problem(const std::string& owner) {
  const names of = parts_of(owner);
  if (of.user.empty() || of.user.find_first_of(" /") != std::string::npos) return "names no user";
  if (owner.find(':') != std::string::npos && (of.group.empty() || of.group.find_first_of(" /:") != std::string::npos))
    return "names no group";
  return "";
}

result<void> give_socket_to(const std::string& path, const std::string& owner) {
  if (owner.empty()) return {};
  const names to = parts_of(owner);
  std::array<char, 16384> room;
  passwd user{}, *user_found = nullptr;
  group members{}, *group_found = nullptr;
  if (::getpwnam_r(to.user.c_str(), &user, room.data(), room.size(), &user_found) != 0 || !user_found)
    return fail(errc::not_found, "there is no user " + to.user);
  const uid_t uid = user.pw_uid;
  gid_t gid = static_cast<gid_t>(-1);
  if (!to.group.empty()) {
    if (::getgrnam_r(to.group.c_str(), &members, room.data(), room.size(), &group_found) != 0 || !group_found)
      return fail(errc::not_found, "there is no group " + to.group);
    gid = members.gr_gid;
  }
  if (::chown(path.c_str(), uid, gid) != 0) return fail_errno(errno, "give " + path + " to " + owner);
  if (!to.group.empty() && ::chmod(path.c_str(), 0660) != 0)
    return fail_errno(errno, "let " + to.group + " use " + path);
  return {};
}

}  // namespace sluice::vhost
