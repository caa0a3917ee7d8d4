// The look of the page, and the parts one after the other.

function startTheme() {
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("qkscope-theme"); // a page opened from a file may have no storage
  } catch {
    chosen = null;
  }
  const apply = () => {
    const theme = chosen ?? (dark.matches ? "dark" : "light");
    if (chosen) {
      document.documentElement.dataset.theme = chosen;
    }
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} look`);
  };
  button.addEventListener("click", () => {
    chosen = (chosen ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("qkscope-theme", chosen);
    } catch {
      // then the choice holds for this visit
    }
    apply();
  });
  dark.addEventListener("change", apply);
  button.hidden = false;
  apply();
}

function startPrint() {
  const button = document.getElementById("print");
  button.addEventListener("click", () => print());
  button.hidden = false;
}

function startLeftOut() {
  if (run.left_out.length > 0) {
    document.getElementById("tables").append(html("p", { class: "note" }, `Too large for this page, and left to qkscope export: ${run.left_out.join(", ")}`));
  }
}

startTheme();
startPrint();
startPlan();
startHeads();
startRecall();
startTradeOff();
startHeadTable();
startLeftOut();
document.querySelectorAll("table.data").forEach(enhanceTable);
document.documentElement.dataset.ready = "yes";
