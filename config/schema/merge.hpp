#pragma once
#include "config/schema/tree.hpp"

namespace sluice::config {

/// The configuration of one gateway of a cluster: what its own file says, and what all of them share. Pure. Each thing
/// stands in one of the two, or it goes to `wrong`:
///
/// - [gateway], [cluster] and the ports of targets are a gateway's own, for names and addresses differ;
/// - a [store.X] or [unit.X] is whole in one of them;
/// - a [target.X] may be in both, each of its keys in one: ports here, `luns`, `open` and `access` there.
///
/// Places of `shared` are marked as such.
tree_table merge(tree_table own, tree_table shared, diagnostics& wrong);

}  // namespace sluice::config
