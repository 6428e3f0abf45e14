// console.table's text, in Node's form.
import { getStringWidth, inspect } from './inspect.js';

const { isArray } = Array;
const { keys } = Object;
const { apply } = Reflect;
const { hasOwnProperty } = Object.prototype;
const stringRepeat = String.prototype.repeat;
const setForEach = Set.prototype.forEach;
const mapForEach = Map.prototype.forEach;
const mapSize = Object.getOwnPropertyDescriptor(Map.prototype, 'size').get;
const setSize = Object.getOwnPropertyDescriptor(Set.prototype, 'size').get;
const TypeErrorConstructor = TypeError;

// More rows than this do not fit into a log line (module_host.cc).
const mostRows = 1000;
const mostColumns = 200;

function has(getter, value) {
  try {
    apply(getter, value, []);
    return true;
  } catch {
    return false;
  }
}

function cell(value) {
  const isLarge = value !== null && typeof value === 'object' && !isArray(value) && keys(value).length > 2;
  return inspect(value, { maxArrayLength: 3, breakLength: Infinity, depth: isLarge ? -1 : 0 });
}

// `columns` are [heading, cells] each; a missing cell is empty.
function render(columns, rowCount) {
  const widths = [];
  for (let i = 0; i < columns.length; i++) {
    let width = getStringWidth(columns[i][0]);
    for (let row = 0; row < rowCount; row++) {
      const own = getStringWidth(columns[i][1][row] ?? '');
      if (own > width) width = own;
    }
    widths[i] = width + 2;
  }
  const rule = (left, middle, right) => {
    let text = left;
    for (let i = 0; i < widths.length; i++) {
      text += `${i === 0 ? '' : middle}${apply(stringRepeat, '\u2500', [widths[i]])}`;
    }
    return text + right;
  };
  const line = (textOf) => {
    let text = '\u2502';
    for (let i = 0; i < columns.length; i++) {
      const content = textOf(columns[i]);
      text += ` ${content}${apply(stringRepeat, ' ', [widths[i] - 1 - getStringWidth(content)])}\u2502`;
    }
    return text;
  };
  let text = `${rule('\u250c', '\u252c', '\u2510')}\n${line((column) => column[0])}\n`;
  text += `${rule('\u251c', '\u253c', '\u2524')}\n`;
  for (let row = 0; row < rowCount; row++) text += `${line((column) => column[1][row] ?? '')}\n`;
  return text + rule('\u2514', '\u2534', '\u2518');
}

function renderMap(map) {
  const index = [], names = [], values = [];
  let row = 0;
  apply(mapForEach, map, [(value, key) => {
    if (row === mostRows) return;
    index[row] = `${row}`;
    names[row] = cell(key);
    values[row++] = cell(value);
  }]);
  return render([['(iteration index)', index], ['Key', names], ['Values', values]], row);
}

function renderSet(set) {
  const index = [], values = [];
  let row = 0;
  apply(setForEach, set, [(value) => {
    if (row === mostRows) return;
    index[row] = `${row}`;
    values[row++] = cell(value);
  }]);
  return render([['(iteration index)', index], ['Values', values]], row);
}

// Renders an object. Throws { isUsageError, error } if `properties` is not an array.
export function renderTable(data, properties) {
  if (properties !== undefined && !isArray(properties)) {
    throw {
      isUsageError: true,
      error: new TypeErrorConstructor(`console.table: the properties must be an array, but they are of type ${typeof properties}`),
    };
  }
  if (has(mapSize, data)) return renderMap(data);
  if (has(setSize, data)) return renderSet(data);
  const index = keys(data);
  const rowCount = index.length < mostRows ? index.length : mostRows;
  const places = { __proto__: null };  // of columns, by heading
  const columns = [['(index)', index]];
  const values = [];
  let hasValues = false;
  for (let row = 0; row < rowCount; row++) {
    const item = data[index[row]];
    const isPrimitive = item === null || (typeof item !== 'object' && typeof item !== 'function');
    if (isPrimitive) {
      hasValues = true;
      values[row] = cell(item);
    }
    const names = properties ?? (isPrimitive ? [] : keys(item));
    for (let i = 0; i < names.length && columns.length < mostColumns; i++) {
      const name = `${names[i]}`;
      if (places[name] === undefined) {
        places[name] = columns.length;
        columns[columns.length] = [name, []];
      }
      if (!isPrimitive && apply(hasOwnProperty, item, [name])) columns[places[name]][1][row] = cell(item[name]);
    }
  }
  if (hasValues) columns[columns.length] = ['Values', values];
  return render(columns, rowCount);
}
