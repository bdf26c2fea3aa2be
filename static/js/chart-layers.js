// What the chart library does not draw itself: bands behind the bars, and hatching over the unfinished one.

const STRIPE_PX = 5;

/** A primitive of a series. paint(context, shown, { x, y, halfBar, height, ratio }) draws in device pixels. */
class Layer {
  #attached = null;
  #shown = null;

  constructor(zOrder, paint) {
    this.paint = paint;
    this.views = [{ zOrder: () => zOrder, renderer: () => ({ draw: (target) => this.#draw(target) }) }];
  }

  show(shown) {
    this.#shown = shown;
    this.#attached?.requestUpdate();
  }

  attached(parameters) {
    this.#attached = parameters;
  }

  detached() {
    this.#attached = null;
  }

  paneViews() {
    return this.views;
  }

  #draw(target) {
    if (!this.#attached || !this.#shown) return;
    const { chart, series } = this.#attached;
    const scale = chart.timeScale();
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio, verticalPixelRatio }) => {
      context.save();
      this.paint(context, this.#shown, {
        x: (time) => (scale.timeToCoordinate(time) ?? Number.NaN) * horizontalPixelRatio,
        y: (price) => series.priceToCoordinate(price) * verticalPixelRatio,
        halfBar: (scale.options().barSpacing / 2) * horizontalPixelRatio,
        height: bitmapSize.height,
        ratio: verticalPixelRatio,
      });
      context.restore();
    });
  }
}

/** Shows a list of { from, to, word, colour, edge }: times of the first and the last bar; its word stands where it fits. */
export const bandLayer = () => new Layer("bottom", (context, bands, { x, halfBar, height, ratio }) => {
  context.font = `${Math.round(10 * ratio)}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const { from, to, word, colour, edge } of bands) {
    const [left, width] = [x(from) - halfBar, x(to) - x(from) + 2 * halfBar];
    context.fillStyle = colour;
    context.fillRect(left, 0, width, height);
    context.fillStyle = edge;
    context.fillRect(left, 0, width, 3 * ratio);
    if (context.measureText(word).width + 8 * ratio < width) context.fillText(word, left + 4 * ratio, 6 * ratio);
  }
});

/** Shows { time, high, low, colour } of the unfinished bar, or null. */
export const hatchLayer = () => new Layer("top", (context, bar, { x, y, halfBar }) => {
  const [left, width] = [x(bar.time) - Math.max(halfBar, 3), 2 * Math.max(halfBar, 3)];
  const [top, height] = [y(bar.high) - 4, y(bar.low) - y(bar.high) + 8];
  context.strokeStyle = bar.colour;
  context.strokeRect(left, top, width, height);
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  for (let at = left - height; at < left + width; at += STRIPE_PX) {
    context.moveTo(at, top + height);
    context.lineTo(at + height, top);
  }
  context.stroke();
});
