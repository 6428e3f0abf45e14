// Memory of a program and of all processes that it started.
import { readFileSync, readdirSync } from 'node:fs';

// The process and its descendants.
function family(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The name, in parentheses, may contain anything; the parent is the second field after it (proc(5)).
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // The process has ended.
    }
  }
  const members = [root];
  for (const member of members) members.push(...(children.get(member) ?? []));
  return members;
}

function kilobytes(file, field) {
  const found = readFileSync(file, 'latin1').match(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm'));
  if (found === null) throw new Error(`${file} does not say ${field}`);
  return Number(found[1]);
}

// {bytes, kind} of the process `root` and its descendants. kind 'PSS': each page is divided among the processes that
// share it (smaps_rollup, proc(5)). If that cannot be read for each process, 'RSS': shared pages count once for each
// process.
export function memoryOf(root) {
  const sum = (measure) => family(root).map(measure).reduce((total, value) => total + value, 0) * 1024;
  try {
    return { bytes: sum((pid) => kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss')), kind: 'PSS' };
  } catch {
    return { bytes: sum((pid) => kilobytes(`/proc/${pid}/status`, 'VmRSS')), kind: 'RSS' };
  }
}
