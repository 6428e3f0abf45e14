import * as acorn from 'acorn';

const visit = (node, seen) => {
  if (Array.isArray(node)) return node.forEach((child) => visit(child, seen));
  if (node === null || typeof node !== 'object' || typeof node.type !== 'string') return;
  seen[node.type] = (seen[node.type] ?? 0) + 1;
  for (const key of Object.keys(node)) visit(node[key], seen);
};

const options = { ecmaVersion: 'latest', sourceType: 'module' };

// Its nodes are instances of classes, and hold what no JSON can: made what JSON can.
const plain = (tree) => JSON.parse(JSON.stringify(tree, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)));

export const tree = (source) => plain(acorn.parse(source, { ...options, locations: true }));

export const count = (source) => {
  const seen = {};
  visit(acorn.parse(source, options), seen);
  return seen;
};

// Its own source, as the bundler left it, in the place of a large file.
export const countItself = () => {
  const sources = [acorn.Parser, acorn.Node, acorn.TokContext, acorn.getLineInfo, acorn.isIdentifierStart,
    ...Object.values(acorn.Parser.prototype)].filter((value) => typeof value === 'function').map(String);
  const counts = {};
  for (const source of sources) visit(acorn.parseExpressionAt(source.startsWith('function') ? source : `function ${source}`, 0, options), counts);
  return counts;
};

export const tokens = (source) => {
  const comments = [];
  const found = [...acorn.tokenizer(source, { ...options, onComment: comments })];
  return { tokens: found.map(({ type, start, end }) => [type.label, start, end]), comments: plain(comments) };
};
