#pragma once
#include "config/schema/sections.hpp"

namespace sluice::config {

/// Store types and fabrics for tests of the configuration, independent of what the program links.
inline known_types types_for_tests() {
  const key size{.name = "size", .type = kind::size, .help = "octets", .minimum = 1};
  key needed_size = size;
  needed_size.required = true;
  const key path{.name = "path", .type = kind::path, .required = true, .help = "the file or device"};
  known_types out;
  out.stores = {
      {"ram", {needed_size}},
      {"file", {path, size}},
      {"block", {path}},
      {"rbd",
       {{.name = "pool", .required = true, .help = "the pool"},
        {.name = "image", .required = true, .help = "the image"},
        {.name = "user", .help = "the cephx user"},
        {.name = "conf", .type = kind::path, .help = "the cluster's file"},
        {.name = "create", .type = kind::flag, .help = "make the image"},
        size,
        {.name = "deadline", .type = kind::duration, .help = "how long a command waits"}}},
      {"cache",
       {{.name = "over", .type = kind::store_name, .required = true, .help = "the store below"},
        {.name = "ram", .type = kind::size, .help = "memory"},
        {.name = "flash.path", .type = kind::path, .help = "the file"},
        {.name = "flash.size", .type = kind::size, .help = "of the file"},
        {.name = "flash.dirty", .type = kind::size, .help = "what is not below"},
        {.name = "volatile_dirty", .type = kind::size, .help = "what is not below, in memory"},
        {.name = "pin", .type = kind::ranges, .help = "what stays", .maximum = 256},
        {.name = "flush_after", .type = kind::duration, .help = "the age of a dirty block"},
        {.name = "mode", .type = kind::choice, .help = "writes", .choices = "write-through|write-back|write-around"}}},
  };
  const auto fabric = [](const char* name, std::vector<key> keys) {
    fabric_rules rules;
    rules.name = name;
    rules.port_keys = std::move(keys);
    return rules;
  };
  const key name{.name = "name", .required = true, .help = "the port"};
  const key listen{.name = "listen", .type = kind::endpoints, .required = true, .help = "where it listens"};
  out.fabrics = {
      fabric("iscsi", {name, listen, {.name = "immediate_data", .type = kind::flag, .help = "data with the command"}}),
      fabric("srp", {name, listen})};
  return out;
}

}  // namespace sluice::config
