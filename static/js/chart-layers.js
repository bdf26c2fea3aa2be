// What the chart library does not draw itself: bands behind the bars, and hatching over the unfinished one.

const STRIPE_PX = 5;

/** A primitive of a series. paint(context, { x, halfBar, height, ratio }) draws in device pixels. */
class Layer {
  #attached = null;

  constructor(zOrder, paint) {
    this.paint = paint;
    this.views = [{ zOrder: () => zOrder, renderer: () => ({ draw: (target) => this.#draw(target) }) }];
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

  redraw() {
    this.#attached?.requestUpdate();
  }

  #draw(target) {
    if (!this.#attached) return;
    const { chart, series } = this.#attached;
    const scale = chart.timeScale();
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio, verticalPixelRatio }) => {
      context.save();
      this.paint(context, {
        x: (time) => {
          const at = scale.timeToCoordinate(time);
          return at === null ? null : at * horizontalPixelRatio;
        },
        y: (price) => (series.priceToCoordinate(price) ?? 0) * verticalPixelRatio,
        halfBar: (scale.options().barSpacing / 2) * horizontalPixelRatio,
        height: bitmapSize.height,
      });
      context.restore();
    });
  }
}

/** Bands: answers { layer, show(bands) }; a band is { from, to, colour }, times of its first and last bar. */
export function bandLayer() {
  let bands = [];
  const layer = new Layer("bottom", (context, { x, halfBar, height }) => {
    for (const { from, to, colour } of bands) {
      const left = x(from);
      const right = x(to);
      if (left === null || right === null) continue;
      context.fillStyle = colour;
      context.fillRect(left - halfBar, 0, right - left + 2 * halfBar, height);
    }
  });
  return {
    layer,
    show(newer) {
      bands = newer;
      layer.redraw();
    },
  };
}

/** Hatching: answers { layer, show(bar, colour) }; bar is the unfinished one, or null. */
export function hatchLayer() {
  let bar = null;
  let colour = "";
  const layer = new Layer("top", (context, { x, y, halfBar }) => {
    const middle = bar && x(bar.time);
    if (middle === null || middle === undefined) return;
    const [left, right] = [middle - Math.max(halfBar, 3), middle + Math.max(halfBar, 3)];
    const [top, bottom] = [y(bar.high) - 4, y(bar.low) + 4];
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.strokeStyle = colour;
    context.beginPath();
    for (let at = left - (bottom - top); at < right; at += STRIPE_PX) {
      context.moveTo(at, bottom);
      context.lineTo(at + (bottom - top), top);
    }
    context.stroke();
    context.strokeRect(left, top, right - left, bottom - top);
  });
  return {
    layer,
    show(newer, stroke) {
      bar = newer;
      colour = stroke;
      layer.redraw();
    },
  };
}
