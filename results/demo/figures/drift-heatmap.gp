# Relative drift of W_Q, W_K and the routing form per layer and head
# Draws drift-heatmap.pdf from drift-heatmap.dat; another format: gnuplot -e "format='svg'" drift-heatmap.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.36cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.36cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 278 name 'drift_heatmap' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 869 background '#ffffff'
}
data = 'drift-heatmap.dat'
set output tex ? 'drift-heatmap-inc.tex' : 'drift-heatmap.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot
set palette defined (0 '#440154', 1 '#472c7a', 2 '#3b518b', 3 '#2c718e', 4 '#21908d', 5 '#27ad81', 6 '#5cc863', 7 '#aadc32', 8 '#fde725')

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.13529; set rmargin at screen 0.80000
set bmargin at screen 0.64266; set tmargin at screen 0.79891
set label 'sft against base' at screen 0.01765, screen 0.96060 left 
set object rectangle from screen 0.01765, screen 0.89810 to screen 0.05529, screen 0.91984 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'full attention' at screen 0.06706, screen 0.90897 left 
set object rectangle from screen 0.31882, screen 0.89810 to screen 0.35647, screen 0.91984 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set label 'linear' at screen 0.36824, screen 0.90897 left 
set colorbox vertical user origin screen 0.81765, screen 0.16508 size screen 0.02588, screen 0.59783
set label (tex ? 'relative drift $\|\Delta \| / \|W\|$' : 'relative drift ‖Δ‖ / ‖W‖') at screen 0.97647, screen 0.46399 center rotate by 90
set cbrange [0:0.6]
unset mcbtics; set cbtics 0.1; set format cb '%g'
set object rectangle from screen 0.13529, screen 0.80571 to screen 0.30147, screen 0.82337 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.30147, screen 0.80571 to screen 0.38456, screen 0.82337 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.38456, screen 0.80571 to screen 0.55074, screen 0.82337 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.55074, screen 0.80571 to screen 0.63382, screen 0.82337 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.63382, screen 0.80571 to screen 0.71691, screen 0.82337 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.71691, screen 0.80571 to screen 0.80000, screen 0.82337 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label (tex ? 'queries  $W_Q$' : 'queries  W_Q') at screen 0.13529, screen 0.85326 left 
set label 'query head' at screen 0.03529, screen 0.72079 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set format x ''
set yrange [-0.5:5.5]; unset mytics; set ytics 0, 2; set format y '%g'
plot data index 0 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.13529; set rmargin at screen 0.80000
set bmargin at screen 0.38587; set tmargin at screen 0.54212
set cbrange [0:0.6]
unset mcbtics; set cbtics 0.1; set format cb '%g'
set object rectangle from screen 0.13529, screen 0.54891 to screen 0.30147, screen 0.56658 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.30147, screen 0.54891 to screen 0.38456, screen 0.56658 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.38456, screen 0.54891 to screen 0.55074, screen 0.56658 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.55074, screen 0.54891 to screen 0.63382, screen 0.56658 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.63382, screen 0.54891 to screen 0.71691, screen 0.56658 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.71691, screen 0.54891 to screen 0.80000, screen 0.56658 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label (tex ? 'keys  $W_K$' : 'keys  W_K') at screen 0.13529, screen 0.59647 left 
set label 'key head' at screen 0.03529, screen 0.46399 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set format x ''
set yrange [-0.5:5.5]; unset mytics; set ytics 0, 2; set format y '%g'
plot data index 1 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.13529; set rmargin at screen 0.80000
set bmargin at screen 0.12908; set tmargin at screen 0.28533
set cbrange [0:0.6]
unset mcbtics; set cbtics 0.1; set format cb '%g'
set object rectangle from screen 0.13529, screen 0.29212 to screen 0.30147, screen 0.30978 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.30147, screen 0.29212 to screen 0.38456, screen 0.30978 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.38456, screen 0.29212 to screen 0.55074, screen 0.30978 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.55074, screen 0.29212 to screen 0.63382, screen 0.30978 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.63382, screen 0.29212 to screen 0.71691, screen 0.30978 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.71691, screen 0.29212 to screen 0.80000, screen 0.30978 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label (tex ? 'routing  $W_Q{}^T W_K$' : 'routing  W_Q{}^T W_K') at screen 0.13529, screen 0.33967 left 
set label 'query head' at screen 0.03529, screen 0.20720 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set label 'layer' at screen 0.46765, screen 0.03397 center 
set yrange [-0.5:5.5]; unset mytics; set ytics 0, 2; set format y '%g'
plot data index 2 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \


unset multiplot
unset output
if (tex) { set print 'drift-heatmap.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{drift-heatmap-inc}\endgroup'; set print }
