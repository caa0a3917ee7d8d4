# Spectra of principal angles per layer, queries and keys
# Draws principal-angles.pdf from principal-angles.dat; another format: gnuplot -e "format='svg'" principal-angles.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 8.84cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 8.84cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 334 name 'principal_angles' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 1044 background '#ffffff'
}
data = 'principal-angles.dat'
set output tex ? 'principal-angles-inc.tex' : 'principal-angles.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.82941
set bmargin at screen 0.51357; set tmargin at screen 0.85294
set label 'sft against base' at screen 0.01765, screen 0.96719 left 
set arrow from screen 0.01765, screen 0.92421 to screen 0.08824, screen 0.92421 nohead linewidth 1.2 dashtype 1 linecolor rgb '#333333'
set label 'full attention' at screen 0.10000, screen 0.92421 left 
set arrow from screen 0.35176, screen 0.92421 to screen 0.42235, screen 0.92421 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#333333'
set label 'linear' at screen 0.43412, screen 0.92421 left 
set label 'layer' at screen 0.85882, screen 0.84163 left 
set arrow from screen 0.85882, screen 0.80430 to screen 0.91765, screen 0.80430 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#440154'
set label '0' at screen 0.92941, screen 0.80430 left 
set arrow from screen 0.85882, screen 0.76697 to screen 0.91765, screen 0.76697 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#472b79'
set label '1' at screen 0.92941, screen 0.76697 left 
set arrow from screen 0.85882, screen 0.72964 to screen 0.91765, screen 0.72964 nohead linewidth 1.2 dashtype 1 linecolor rgb '#3c4f8a'
set label '2' at screen 0.92941, screen 0.72964 left 
set arrow from screen 0.85882, screen 0.69231 to screen 0.91765, screen 0.69231 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#2d6e8e'
set label '3' at screen 0.92941, screen 0.69231 left 
set arrow from screen 0.85882, screen 0.65498 to screen 0.91765, screen 0.65498 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#228c8d'
set label '4' at screen 0.92941, screen 0.65498 left 
set arrow from screen 0.85882, screen 0.61765 to screen 0.91765, screen 0.61765 nohead linewidth 1.2 dashtype 1 linecolor rgb '#26a983'
set label '5' at screen 0.92941, screen 0.61765 left 
set arrow from screen 0.85882, screen 0.58032 to screen 0.91765, screen 0.58032 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#53c368'
set label '6' at screen 0.92941, screen 0.58032 left 
set arrow from screen 0.85882, screen 0.54299 to screen 0.91765, screen 0.54299 nohead linewidth 1.2 dashtype 1 linecolor rgb '#9ad83c'
set label '7' at screen 0.92941, screen 0.54299 left 
set label (tex ? 'queries  $W_Q$' : 'queries  W_Q') at screen 0.16471, screen 0.87783 left 
set label 'principal angle (rad)' at screen 0.03529, screen 0.68326 center rotate by 90
set yrange [0:1]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [0.5:32.5]; unset mxtics; set xtics 4, 4; set format x '%g'
set format x ''
plot data index 0 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#440154' notitle \
   , data index 1 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#472b79' notitle \
   , data index 2 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#3c4f8a' notitle \
   , data index 3 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#2d6e8e' notitle \
   , data index 4 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#228c8d' notitle \
   , data index 5 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#26a983' notitle \
   , data index 6 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#53c368' notitle \
   , data index 7 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#9ad83c' notitle \
   , data index 0 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#440154' notitle \
   , data index 1 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#472b79' notitle \
   , data index 2 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#3c4f8a' notitle \
   , data index 3 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#2d6e8e' notitle \
   , data index 4 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#228c8d' notitle \
   , data index 5 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#26a983' notitle \
   , data index 6 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#53c368' notitle \
   , data index 7 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#9ad83c' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.82941
set bmargin at screen 0.10747; set tmargin at screen 0.44683
set label (tex ? 'keys  $W_K$' : 'keys  W_K') at screen 0.16471, screen 0.47172 left 
set label 'principal angle (rad)' at screen 0.03529, screen 0.27715 center rotate by 90
set yrange [0:1]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [0.5:32.5]; unset mxtics; set xtics 4, 4; set format x '%g'
set label 'index, largest angle first' at screen 0.49706, screen 0.02828 center 
plot data index 8 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#440154' notitle \
   , data index 9 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#472b79' notitle \
   , data index 10 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#3c4f8a' notitle \
   , data index 11 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#2d6e8e' notitle \
   , data index 12 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#228c8d' notitle \
   , data index 13 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#26a983' notitle \
   , data index 14 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#53c368' notitle \
   , data index 15 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#9ad83c' notitle \
   , data index 8 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#440154' notitle \
   , data index 9 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#472b79' notitle \
   , data index 10 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#3c4f8a' notitle \
   , data index 11 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#2d6e8e' notitle \
   , data index 12 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#228c8d' notitle \
   , data index 13 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#26a983' notitle \
   , data index 14 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#53c368' notitle \
   , data index 15 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#9ad83c' notitle \


unset multiplot
unset output
if (tex) { set print 'principal-angles.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{principal-angles-inc}\endgroup'; set print }
