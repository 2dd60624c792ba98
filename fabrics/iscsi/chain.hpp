#pragma once

namespace sluice::iscsi {

/// Where a node stands in a chain.
template <class Node>
struct chain_link {
  Node* previous = nullptr;
  Node* next = nullptr;
  bool linked = false;
};

/// A list, first in first out, through a member of its nodes; a node may leave from anywhere.
template <class Node, chain_link<Node> Node::*Link>
class chain {
 public:
  bool empty() const { return first_ == nullptr; }
  Node* first() const { return first_; }
  static bool has(const Node& node) { return (node.*Link).linked; }
  static Node* after(const Node& node) { return (node.*Link).next; }

  /// A no-op when it is there already.
  void push(Node& node) {
    if ((node.*Link).linked) return;
    node.*Link = {last_, nullptr, true};
    (last_ ? (last_->*Link).next : first_) = &node;
    last_ = &node;
  }
  /// A no-op when it is not there.
  void remove(Node& node) {
    const chain_link<Node> at = node.*Link;
    if (!at.linked) return;
    node.*Link = {};
    (at.previous ? (at.previous->*Link).next : first_) = at.next;
    (at.next ? (at.next->*Link).previous : last_) = at.previous;
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace sluice::iscsi
