// Slices of a volume from the server, those nearby fetched ahead.
import { bytes } from "./api.js";
import { PLANES } from "./viewer/geometry.js";

const MAX_KEPT = 240;
const AHEAD = 2;

export class HttpSource {
  // Slices of the volume that `meta` describes, in the state that it describes; less those of `minus`, likewise.
  constructor(meta, minus = null) {
    const asked = { volume: meta.volume, state: meta.state };
    const other = minus && { minus: minus.volume, minus_state: minus.state };
    Object.assign(this, { meta, asked: { ...asked, ...other }, kept: new Map() });
  }

  fetched(address, query) {
    const url = `${address}?${new URLSearchParams({ ...this.asked, ...query })}`;
    let found = this.kept.get(url);
    if (!found) {
      found = bytes(url).then((buffer) => new Int16Array(buffer)); // typed arrays are little-endian wherever browsers run
      found.catch(() => this.kept.delete(url));
      this.kept.set(url, found);
      if (this.kept.size > MAX_KEPT) this.kept.delete(this.kept.keys().next().value);
    }
    return found;
  }

  async slice(plane, index) {
    const hu = await this.fetched("/api/slice", { plane, index });
    const last = this.meta.shape_zyx[PLANES[plane].axis] - 1;
    for (let step = -AHEAD; step <= AHEAD; step += 1) {
      const near = index + step;
      if (step && near >= 0 && near <= last) this.fetched("/api/slice", { plane, index: near }).catch(() => {});
    }
    return hu;
  }

  projection(kind, plane) {
    return this.fetched("/api/projection", { kind, plane });
  }
}
