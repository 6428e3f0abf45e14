import * as uuid from 'uuid';

// What is random is compared by its shape.
export const random = (count) => {
  const made = Array.from({ length: count }, () => uuid.v4());
  const ordered = Array.from({ length: count }, () => uuid.v7());
  return {
    distinct: new Set([...made, ...ordered, uuid.v1(), uuid.v6()]).size,
    versions: [...new Set([...made, ...ordered, uuid.v1(), uuid.v6()].map(uuid.version))],
    valid: made.every(uuid.validate), ordered: ordered.every((id, index) => index === 0 || ordered[index - 1] < id),
  };
};

export const named = (names) => names.map((name) => [uuid.v3(name, uuid.v3.URL), uuid.v5(name, uuid.v5.DNS)]);

export const given = ({ bytes, msecs }) => {
  const random = Uint8Array.from(bytes);
  return [uuid.v1({ random, msecs, nsecs: 5, clockseq: 0x1234 }), uuid.v4({ random: random.slice() }), uuid.v7({ random: random.slice(), msecs, seq: 7 }), uuid.v1ToV6(uuid.v1({ random, msecs, nsecs: 5, clockseq: 1 }))];
};

export const taken = (text) => [...uuid.parse(text), uuid.stringify(uuid.parse(text))];
