# Relative drift per layer and module: routing, extraction, feed-forward
# Draws module-contrast.pdf from module-contrast.dat; another format: gnuplot -e "format='svg'" module-contrast.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 10.1cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 10.1cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 382 name 'module_contrast' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 1193 background '#ffffff'
}
data = 'module-contrast.dat'
set output tex ? 'module-contrast-inc.tex' : 'module-contrast.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.22353; set rmargin at screen 0.80000
set bmargin at screen 0.57921; set tmargin at screen 0.88218
set label 'sft against base' at screen 0.01765, screen 0.97129 left 
set object rectangle from screen 0.01765, screen 0.92574 to screen 0.05529, screen 0.94158 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'full attention' at screen 0.06706, screen 0.93366 left 
set object rectangle from screen 0.31882, screen 0.92574 to screen 0.35647, screen 0.94158 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set label 'linear' at screen 0.36824, screen 0.93366 left 
set palette defined (0 '#440154', 1 '#472c7a', 2 '#3b518b', 3 '#2c718e', 4 '#21908d', 5 '#27ad81', 6 '#5cc863', 7 '#aadc32', 8 '#fde725')
set colorbox vertical user origin screen 0.81765, screen 0.57921 size screen 0.02588, screen 0.30297
set cbrange [0:0.4]
unset mcbtics; set cbtics 0.1; set format cb '%g'
set label 'relative drift' at screen 0.97059, screen 0.73069 center rotate by 90
set object rectangle from screen 0.22353, screen 0.88713 to screen 0.36765, screen 0.90000 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.36765, screen 0.88713 to screen 0.43971, screen 0.90000 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.43971, screen 0.88713 to screen 0.58382, screen 0.90000 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.58382, screen 0.88713 to screen 0.65588, screen 0.90000 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.65588, screen 0.88713 to screen 0.72794, screen 0.90000 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.72794, screen 0.88713 to screen 0.80000, screen 0.90000 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set label 'layer' at screen 0.51176, screen 0.50990 center 
set yrange [-0.5:8.5]; unset mytics
set ytics ('norms' 0, 'mlp\_down' 1, 'mlp\_up' 2, 'mlp\_gate' 3, 'gate' 4, 'o' 5, 'v' 6, 'k' 7, 'q' 8)
set label (tex ? '$\times$: exactly unchanged' : '×: exactly unchanged') at screen 0.01765, screen 0.01980 left textcolor rgb '#777777'
plot data index 0 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \
   , data index 1 using 1:2 with points pointtype 2 pointsize 0.40 linewidth 0.5 linecolor rgb '#b0b0b0' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.22353; set rmargin at screen 0.80000
set bmargin at screen 0.12970; set tmargin at screen 0.43267
set yrange [-0.5:8.5]; unset mytics
set ytics ('norms' 0, 'mlp\_down' 1, 'mlp\_up' 2, 'mlp\_gate' 3, 'gate' 4, 'o' 5, 'v' 6, 'k' 7, 'q' 8)
set xrange [-0.012:0.4]
unset mxtics; set xtics 0.1; set format x '%g'
set label 'relative drift: layers (points), median (bar)' at screen 0.51176, screen 0.06040 center 
plot data index 2 using 1:2 with points pointtype 7 pointsize 0.22 linecolor rgb '#8f8f8f' notitle \
   , data index 3 using 1:2:(0):(0.36) with vectors nohead linewidth 2.2 linecolor rgb '#d1603d' notitle \
   , data index 3 using 1:2:(0):(-0.36) with vectors nohead linewidth 2.2 linecolor rgb '#d1603d' notitle \


unset multiplot
unset output
if (tex) { set print 'module-contrast.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{module-contrast-inc}\endgroup'; set print }
