#pragma once
#include <string>

#include "config/schema/model.hpp"

namespace sluice::iscsi {

/// What is wrong with the ports of a fabric of iSCSI in a configuration: names, addresses that can't be listened on
/// together, ports that let everybody in from a network. Pure.
void check_ports(const config::model& m, const std::string& fabric, config::diagnostics& wrong);

/// What is wrong with what access tables say of CHAP. Pure.
void check_access(const config::model& m, config::diagnostics& wrong);

/// Initiators that are admitted by their names alone beyond loopback: anybody may say a name. Pure.
void warn_of_names(const config::model& m, const std::string& fabric, config::diagnostics& warnings);

/// Ports of two fabrics that are one target portal group to initiators: of one name, and of one group. Pure.
void warn_of_groups(const config::model& m, const std::string& fabric, config::diagnostics& warnings);

/// What is wrong with the files of secrets. Blocks on the file system.
void check_secrets(const config::model& m, config::diagnostics& wrong);

}  // namespace sluice::iscsi
