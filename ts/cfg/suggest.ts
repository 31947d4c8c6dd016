// "Did you mean …?" for names in graph files and options.

/** Edit distance (insert, delete, replace, swap of neighbours; each costs 1), ignoring case. */
export function editDistance(a: string, b: string): number {
  const s = a.toLowerCase();
  const t = b.toLowerCase();
  const width = t.length + 1;
  const d = new Uint16Array((s.length + 1) * width);
  const at = (i: number, j: number): number => d[i * width + j] ?? 0;
  for (let i = 0; i <= s.length; i++)
    for (let j = 0; j <= t.length; j++) {
      let best = i === 0 ? j : j === 0 ? i : Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (s[i - 1] === t[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && s[i - 1] === t[j - 2] && s[i - 2] === t[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1);
      d[i * width + j] = best;
    }
  return at(s.length, t.length);
}

/** The candidate nearest to `name`, if it is near enough to be a slip. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 2)) + 1;
  if (name.length > 64) return undefined; // no slip of a token, and quadratic to compare
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    // Of two equally near the longer: letters are left out more often than added (kpnt means kpn-t, not kpn).
    if (distance < bestDistance || (distance === bestDistance && best !== undefined && candidate.length > best.length)) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `did you mean X?`, or the list of what there is, or nothing for no candidates. */
export function suggestion(name: string, candidates: Iterable<string>): string | undefined {
  const all = [...candidates];
  const near = nearest(name, all);
  if (near !== undefined) return `did you mean ${near}?`;
  return all.length === 0 ? undefined : `there is: ${all.join(', ')}`;
}
