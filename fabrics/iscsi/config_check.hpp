#pragma once
#include "config/schema/model.hpp"

namespace sluice::iscsi {

/// What is wrong with the iSCSI ports of a configuration, and with what access tables say of CHAP: names, addresses
/// that can't be listened on together, ports that let everybody in from a network. Pure.
void check_ports(const config::model& m, config::diagnostics& wrong);

/// Initiators that are admitted by their names alone beyond loopback: anybody may say a name. Pure.
void warn_of_names(const config::model& m, config::diagnostics& warnings);

/// What is wrong with the files of secrets. Blocks on the file system.
void check_secrets(const config::model& m, config::diagnostics& wrong);

}  // namespace sluice::iscsi
