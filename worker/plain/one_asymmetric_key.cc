#include "worker/plain/one_asymmetric_key.h"

#include <algorithm>

namespace holdfast::worker::crypto {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum Tag : std::uint8_t {
  kInteger = 0x02,
  kOctetString = 0x04,
  kObjectIdentifier = 0x06,
  kSequence = 0x30,
  kSet = 0x31,
  kPublicKey = 0x81,   // [1] IMPLICIT BIT STRING
  kAttributes = 0xa0,  // [0] IMPLICIT SET OF
};

// Reads elements one after another. Refuses lengths of more than two bytes, which no accepted key has (kMaxKeyBytes).
class Reader {
 public:
  explicit Reader(Bytes bytes) : left_(bytes) {}

  bool is_at_end() const { return left_.empty(); }
  bool is_at(std::uint8_t tag) const { return !left_.empty() && left_.front() == tag; }

  // The contents of the next element; nothing if there is none, or it is not DER. `whole` gets the element with its
  // tag and length.
  std::optional<Bytes> next(Bytes* whole = nullptr) {
    // Keys contain no tags of the long form.
    if (left_.size() < 2 || (left_[0] & 0x1f) == 0x1f) return std::nullopt;
    std::size_t header = 2, length = left_[1];
    if (length > 0x80 && length <= 0x82) {
      const std::size_t count = length - 0x80;
      if (left_.size() < header + count) return std::nullopt;
      length = 0;
      for (std::size_t i = 0; i < count; ++i) length = length << 8 | left_[header + i];
      header += count;
      if (length < (count == 1 ? 0x80 : 0x100)) return std::nullopt;  // a shorter form would do
    } else if (length >= 0x80) {
      return std::nullopt;  // of indefinite length, or far too long
    }
    if (left_.size() - header < length) return std::nullopt;
    if (whole != nullptr) *whole = left_.first(header + length);
    const Bytes contents = left_.subspan(header, length);
    left_ = left_.subspan(header + length);
    return contents;
  }
  std::optional<Bytes> next(Tag tag, Bytes* whole = nullptr) {
    if (!is_at(tag)) return std::nullopt;
    return next(whole);
  }

 private:
  Bytes left_;
};

bool is_one_element(Bytes bytes) {
  Reader reader(bytes);
  return reader.next().has_value() && reader.is_at_end();
}

// Whether these are the elements of a SET OF, in ascending order of their encodings. `is_right` checks the contents
// of each.
template <typename IsRight>
bool is_set_of(Bytes contents, IsRight is_right) {
  Reader reader(contents);
  Bytes last;
  while (!reader.is_at_end()) {
    Bytes whole;
    const bool is_sequence = reader.is_at(kSequence);
    const auto element = reader.next(&whole);
    if (!element || !is_right(*element, is_sequence)) return false;
    if (std::ranges::lexicographical_compare(whole, last)) return false;
    last = whole;
  }
  return true;
}

// Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY }
bool is_attribute(Bytes contents, bool is_sequence) {
  Reader reader(contents);
  const auto type = reader.next(kObjectIdentifier);
  const auto values = reader.next(kSet);
  return is_sequence && type && !type->empty() && values && !values->empty() && reader.is_at_end() &&
         is_set_of(*values, [](Bytes, bool) { return true; });
}

// AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }
bool is_algorithm(Bytes contents) {
  Reader reader(contents);
  const auto identifier = reader.next(kObjectIdentifier);
  if (!identifier || identifier->empty()) return false;
  return reader.is_at_end() || (reader.next().has_value() && reader.is_at_end());
}

void append(std::vector<std::uint8_t>& to, Bytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

std::vector<std::uint8_t> first_version_of(Bytes algorithm, Bytes private_key) {
  constexpr std::uint8_t kVersion1[] = {kInteger, 1, 0};
  const std::size_t length = std::size(kVersion1) + algorithm.size() + private_key.size();
  std::vector<std::uint8_t> all = {kSequence};
  if (length >= 0x100) {
    append(all, std::vector<std::uint8_t>{0x82, static_cast<std::uint8_t>(length >> 8)});
  } else if (length >= 0x80) {
    all.push_back(0x81);
  }
  all.push_back(static_cast<std::uint8_t>(length));
  append(all, kVersion1);
  append(all, algorithm);
  append(all, private_key);
  return all;
}

}  // namespace

std::optional<OneAsymmetricKey> read_one_asymmetric_key(Bytes input) {
  Reader outer(input);
  const auto contents = outer.next(kSequence);
  if (!contents || !outer.is_at_end()) return std::nullopt;
  Reader reader(*contents);
  const auto version = reader.next(kInteger);
  if (!version || version->size() != 1 || version->front() != 1) return std::nullopt;
  Bytes algorithm, private_key;
  const auto identifier = reader.next(kSequence, &algorithm);
  if (!identifier || !is_algorithm(*identifier)) return std::nullopt;
  const auto key = reader.next(kOctetString, &private_key);
  // All kinds of keys here are an OCTET STRING or a SEQUENCE.
  if (!key || !is_one_element(*key)) return std::nullopt;
  if (reader.is_at(kAttributes)) {
    const auto attributes = reader.next();
    if (!attributes || !is_set_of(*attributes, is_attribute)) return std::nullopt;
  }
  OneAsymmetricKey read{first_version_of(algorithm, private_key), std::nullopt};
  if (reader.is_at(kPublicKey)) {
    const auto bits = reader.next();
    // The first byte says how many bits of the last one are unused.
    if (!bits || bits->size() < 2 || bits->front() != 0) return std::nullopt;
    read.public_key = bits->subspan(1);
  }
  if (!reader.is_at_end()) return std::nullopt;
  return read;
}

}  // namespace holdfast::worker::crypto
