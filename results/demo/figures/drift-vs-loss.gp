# Drift of the routing form against the loss of far attention, a point per head
# Draws drift-vs-loss.pdf from drift-vs-loss.dat; another format: gnuplot -e "format='svg'" drift-vs-loss.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.27cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.27cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 275 name 'drift_vs_loss' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 4.17 size 1004, 859 background '#ffffff'
}
data = 'drift-vs-loss.dat'
set output tex ? 'drift-vs-loss-inc.tex' : 'drift-vs-loss.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
if (format eq 'svg') { set xtics offset 0, 0.4 }
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.95294
set bmargin at screen 0.18019; set tmargin at screen 0.86795
set label '6.3' at screen 0.88580, screen 0.77921 center front
set label '0.2' at screen 0.51933, screen 0.72587 center front
set label '3.2' at screen 0.75408, screen 0.72520 center front
set label '4.3' at screen 0.88006, screen 0.68569 center front
set label '1.3' at screen 0.54258, screen 0.68268 center front
set label '0.3' at screen 0.63962, screen 0.70572 center front
set label '5.4' at screen 0.68505, screen 0.66713 center front
set label '6.1' at screen 0.82605, screen 0.65147 center front
set label 'sft against base' at screen 0.01765, screen 0.96011 left 
set label '' at screen 0.02706, screen 0.90784 left point pointtype 7 pointsize 0.5 linecolor rgb '#0072b2'
set label 'softmax' at screen 0.04588, screen 0.90784 left 
set label '' at screen 0.20235, screen 0.90784 left point pointtype 6 pointsize 0.5 linecolor rgb '#8f8f8f'
set label 'linear (implied)' at screen 0.22118, screen 0.90784 left 
set label '' at screen 0.53647, screen 0.90784 left point pointtype 7 pointsize 0.5 linecolor rgb '#d55e00'
set label 'lost most: layer.head' at screen 0.55529, screen 0.90784 left 
set label (tex ? 'heads below $-$0.15, drawn at $-$0.15: 1' : 'heads below −0.15, drawn at −0.15: 1') at screen 0.01765, screen 0.02751 left textcolor rgb '#777777'
set label 'relative drift of the routing form' at screen 0.55882, screen 0.08391 center 
set label 'share of far attention lost' at screen 0.03529, screen 0.52407 center rotate by 90
set xrange [0:0.5]
unset mxtics; set xtics 0.1; set format x '%g'
set yrange [-0.167690401:0.106510811]
unset mytics; set ytics 0.05; set format y '%g'
plot 0 with lines linewidth 0.6 dashtype (6,3) linecolor rgb '#888888' notitle \
   , data index 0 using 1:2 with points pointtype 7 pointsize 0.5 linewidth 0.6 linecolor rgb '#0072b2' notitle \
   , data index 1 using 1:2 with points pointtype 6 pointsize 0.5 linewidth 0.6 linecolor rgb '#8f8f8f' notitle \
   , data index 2 using 1:2 with points pointtype 7 pointsize 0.5 linewidth 0.6 linecolor rgb '#d55e00' notitle \


unset multiplot
unset output
if (tex) { set print 'drift-vs-loss.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{drift-vs-loss-inc}\endgroup'; set print }
