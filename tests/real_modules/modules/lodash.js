// One big CommonJS file, of the time before there were modules: it looks for the global object by itself.
import _ from 'lodash';

export const summarize = (orders) =>
  _(orders)
    .groupBy('customer')
    .mapValues((own) => ({ count: own.length, total: _.round(_.sumBy(own, 'price'), 2), items: _.uniq(_.map(own, 'item')) }))
    .toPairs()
    .orderBy([([, { total }]) => total, 0], ['desc', 'asc'])
    .value();

export const words = (text) => ({
  camel: _.camelCase(text), kebab: _.kebabCase(text), start: _.startCase(text), plain: _.deburr(text),
  words: _.words(text), cut: _.truncate(text, { length: 12, separator: /,? +/ }), padded: _.pad(text, 30, '_-'),
  escaped: _.escape(text), characters: _.toArray(text).length,
});

export const clones = (value) => {
  const rich = {
    value, date: new Date(86400000), pattern: /a(b)?/giu, map: new Map([[{ a: 1 }, new Set([1, [2]])]]),
    bytes: new Uint8Array([1, 2, 3]), buffer: new Uint16Array([7, 8]).buffer, symbol: Object(Symbol.iterator),
    error: new RangeError('kept'),
  };
  rich.self = rich;
  const copy = _.cloneDeep(rich);
  return {
    equal: _.isEqual(rich, copy), distinct: copy !== rich && copy.map !== rich.map, cycle: copy.self === copy,
    tags: _.mapValues(copy, (item) => Object.prototype.toString.call(item)),
    merged: _.merge({ a: [{ b: 1 }, { c: 2 }] }, { a: [{ d: 3 }] }, value), bytes: [...copy.bytes],
  };
};

// Timers, by way of the global object that it found.
export const debounced = async (values) => {
  const seen = [];
  const see = _.debounce((value) => seen.push(value), 5, { leading: true });
  for (const value of values) see(value);
  await new Promise((resolve) => _.delay(resolve, 40));
  await new Promise((resolve) => _.defer(resolve));
  return seen;
};

export const render = ({ template, values }) => _.template(template)(values);

export const sorted = ({ seed, count }) => {
  const numbers = _.times(count, () => (seed = (seed * 16807) % 2147483647));
  return _.take(_.sortBy(numbers), 5).concat(_.size(_.uniq(numbers)), _.sum(_.map(_.chunk(numbers, 7), 0)));
};
