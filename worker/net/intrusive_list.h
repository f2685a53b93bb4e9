// IntrusiveList: a ring of objects that hold their own links; O(1) in and out, no allocation.
#pragma once

namespace appd::net {

template <typename Tag>
class ListLink;

template <typename T, typename Tag>
class IntrusiveList;

// A place in at most one list of its tag. Leaves the list with its owner. Not thread-safe.
template <typename Tag>
class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { unlink(); }

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <typename, typename>
  friend class IntrusiveList;
  ListLink* previous_ = nullptr;
  ListLink* next_ = nullptr;
};

// Borrows its entries; T derives from ListLink<Tag>. Not thread-safe.
template <typename T, typename Tag>
class IntrusiveList {
 public:
  IntrusiveList() { ring_.previous_ = ring_.next_ = &ring_; }
  ~IntrusiveList() {
    while (!empty()) ring_.next_->unlink();
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return ring_.next_ == &ring_; }
  T* front() const { return empty() ? nullptr : static_cast<T*>(ring_.next_); }
  // The first entry that the predicate is true for; nullptr: none.
  template <typename Predicate>
  T* find_if(Predicate predicate) const {
    for (ListLink<Tag>* link = ring_.next_; link != &ring_; link = link->next_) {
      if (predicate(*static_cast<T*>(link))) return static_cast<T*>(link);
    }
    return nullptr;
  }
  // Moves the entry here if it was elsewhere.
  void push_back(T& entry) {
    ListLink<Tag>& link = entry;
    link.unlink();
    link.previous_ = ring_.previous_;
    link.next_ = &ring_;
    ring_.previous_->next_ = &link;
    ring_.previous_ = &link;
  }
  T* pop_front() {
    T* first = front();
    if (first != nullptr) static_cast<ListLink<Tag>*>(first)->unlink();
    return first;
  }

 private:
  ListLink<Tag> ring_;
};

}  // namespace appd::net
