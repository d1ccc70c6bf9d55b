// Planes, and the way between voxels, millimetres and what is on the screen. Volumes are z y x, as on the server.
export const PLANES = {
  axial: { axis: 0, rows: 1, columns: 2, letters: ["R", "L", "A", "P"] },
  coronal: { axis: 1, rows: 0, columns: 2, letters: ["R", "L", "S", "I"] },
  sagittal: { axis: 2, rows: 0, columns: 1, letters: ["A", "P", "S", "I"] },
};

export function apply(matrix, [z, y, x]) {
  return [0, 1, 2].map((row) => matrix[row][0] * z + matrix[row][1] * y + matrix[row][2] * x + matrix[row][3]);
}

export function clampIndex(shape, index) {
  return index.map((value, axis) => Math.max(0, Math.min(shape[axis] - 1, Math.round(value))));
}

// Size of a plane in pixels and in millimetres. Coronal and sagittal planes have the head up: their rows run down z.
export function planeSize(meta, name) {
  const { rows, columns } = PLANES[name];
  return {
    rows: meta.shape_zyx[rows],
    columns: meta.shape_zyx[columns],
    width_mm: meta.shape_zyx[columns] * meta.spacing_mm_zyx[columns],
    height_mm: meta.shape_zyx[rows] * meta.spacing_mm_zyx[rows],
  };
}

export function toIndex(meta, name, row, column, index) {
  const plane = PLANES[name];
  const result = [...index];
  result[plane.rows] = plane.rows === 0 ? meta.shape_zyx[0] - 1 - row : row;
  result[plane.columns] = column;
  return result;
}

export function toRowColumn(meta, name, index) {
  const plane = PLANES[name];
  const row = plane.rows === 0 ? meta.shape_zyx[0] - 1 - index[0] : index[plane.rows];
  return [row, index[plane.columns]];
}
