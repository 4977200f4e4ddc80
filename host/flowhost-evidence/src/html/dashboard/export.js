// Hands out a chart as a file, as it was drawn: with the colours of a light page, whatever this one is shown in.
'use strict';
(() => {
  const scale = 2; // pixels of a PNG for one of the chart: enough for paper
  const give = (blob, name) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const whole = (svg) => '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(svg);
  const png = (svg, name) => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement('canvas');
      canvas.width = scale * svg.viewBox.baseVal.width;
      canvas.height = scale * svg.viewBox.baseVal.height;
      canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => give(blob, name), 'image/png');
    };
    picture.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(whole(svg));
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-form]');
    if (!button) return;
    const chart = button.closest('figure');
    const svg = chart.querySelector('svg');
    const name = chart.id + '.' + button.dataset.form;
    if (button.dataset.form === 'png') png(svg, name);
    else give(new Blob([whole(svg)], { type: 'image/svg+xml' }), name);
  });
})();
