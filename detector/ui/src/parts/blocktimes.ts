// How long a block may be asked to last: what the configuration bounds, in times that people choose.
import { useResource } from "../api/resource";
import { BLOCK_TIMES } from "../words/names";

interface Bounds {
  block: { max_ttl_secs: number };
}

/** The shortest first; never empty. */
export function useBlockTimes(): readonly [number, string][] {
  const most = useResource<Bounds>("/api/config").value?.block.max_ttl_secs ?? Infinity;
  const fit = BLOCK_TIMES.filter(([secs]) => secs <= most);
  return fit.length > 0 ? fit : [[most, `${most} s`]];
}
