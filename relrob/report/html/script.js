(function () {
  "use strict";
  var number = function (text) {
    var found = /-?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(text);
    return found ? parseFloat(found[0].replace(/,/g, "")) : NaN;
  };
  var compare = function (one, other) {
    var a = number(one), b = number(other);
    var first = isNaN(a), second = isNaN(b);
    if (first !== second) { return first ? 1 : -1; }
    if (first || a === b) { return one < other ? -1 : one > other ? 1 : 0; }
    return a - b;
  };
  var sortable = function (table) {
    var heads = table.tHead.rows[0].cells, body = table.tBodies[0];
    Array.prototype.forEach.call(heads, function (head, place) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var up = head.getAttribute("aria-sort") !== "ascending";
        Array.prototype.forEach.call(heads, function (each) { each.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        var numeric = head.classList.contains("n");
        var rows = Array.prototype.map.call(body.rows, function (row, at) {
          return [row.cells[place].textContent.trim(), at, row];
        });
        rows.sort(function (x, y) {
          if (!x[0] !== !y[0]) { return x[0] ? -1 : 1; }
          var way = numeric ? compare(x[0], y[0]) : x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : 0;
          return (up ? way : -way) || x[1] - y[1];
        });
        rows.forEach(function (each) { body.appendChild(each[2]); });
      });
    });
  };
  var filtered = function (form) {
    var table = document.getElementById(form.getAttribute("data-for"));
    var choice = form.querySelector("select"), words = form.querySelector("input");
    var told = form.querySelector("output"), rows = table.tBodies[0].rows;
    var apply = function () {
      var key = choice.value, wanted = words.value.trim().toLowerCase(), shown = 0;
      Array.prototype.forEach.call(rows, function (row) {
        var fits = (!key || row.getAttribute("data-k") === key) &&
          (!wanted || row.textContent.toLowerCase().indexOf(wanted) >= 0);
        row.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      told.textContent = shown + " of " + rows.length + " rows";
    };
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    choice.addEventListener("change", apply);
    words.addEventListener("input", apply);
    form.hidden = false;
    sortable(table);
    apply();
  };
  document.querySelectorAll("form.filter").forEach(filtered);
}());
