# Drift of queries, keys and routing over depth, with the other modules of each layer
# Draws drift-by-layer.pdf from drift-by-layer.dat; another format: gnuplot -e "format='svg'" drift-by-layer.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 9.76cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 9.76cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 369 name 'drift_by_layer' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 1153 background '#ffffff'
}
data = 'drift-by-layer.dat'
set output tex ? 'drift-by-layer-inc.tex' : 'drift-by-layer.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.96471
set bmargin at screen 0.54918; set tmargin at screen 0.84631
set object rectangle from screen 0.16471, screen 0.85143 to screen 0.36471, screen 0.86475 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.36471, screen 0.85143 to screen 0.46471, screen 0.86475 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.46471, screen 0.85143 to screen 0.66471, screen 0.86475 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.66471, screen 0.85143 to screen 0.76471, screen 0.86475 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.76471, screen 0.85143 to screen 0.86471, screen 0.86475 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.86471, screen 0.85143 to screen 0.96471, screen 0.86475 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label '' at screen 0.17412, screen 0.88730 left point pointtype 7 pointsize 0.5 linecolor rgb '#0b3c6f'
set label 'queries' at screen 0.19294, screen 0.88730 left 
set label '' at screen 0.34941, screen 0.88730 left point pointtype 5 pointsize 0.5 linecolor rgb '#d1603d'
set label 'keys' at screen 0.36824, screen 0.88730 left 
set label '' at screen 0.47176, screen 0.88730 left point pointtype 9 pointsize 0.5 linecolor rgb '#4f9d8e'
set label 'routing' at screen 0.49059, screen 0.88730 left 
set arrow from screen 0.63765, screen 0.88730 to screen 0.68706, screen 0.88730 nohead linewidth 1 dashtype (6,3) linecolor rgb '#555555'
set label (tex ? '3 $\times$ rounding floor' : '3 × rounding floor') at screen 0.69647, screen 0.88730 left 
set label 'relative drift' at screen 0.03529, screen 0.69775 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set format x ''
set yrange [0:0.5]
unset mytics; set ytics 0.2; set format y '%g'
set label 'sft against base' at screen 0.01765, screen 0.97029 left 
set object rectangle from screen 0.01765, screen 0.92316 to screen 0.05529, screen 0.93955 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'full attention' at screen 0.06706, screen 0.93135 left 
set object rectangle from screen 0.31882, screen 0.92316 to screen 0.35647, screen 0.93955 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set label 'linear' at screen 0.36824, screen 0.93135 left 
set label 'routing: with norm weights folded in (qk\_eff\_rel\_drift)' at screen 0.01765, screen 0.02049 left textcolor rgb '#777777'
set label 'upper panel: median and range over the heads of a layer' at screen 0.01765, screen 0.05738 left textcolor rgb '#777777'
plot data index 3 using 1:2 with lines linewidth 1 dashtype (6,3) linecolor rgb '#555555' notitle \
   , data index 0 using 1:2:3:4 with yerrorbars pointtype 7 pointsize 0.35 linewidth 0.8 linecolor rgb '#0b3c6f' notitle \
   , data index 1 using 1:2:3:4 with yerrorbars pointtype 5 pointsize 0.35 linewidth 0.8 linecolor rgb '#d1603d' notitle \
   , data index 2 using 1:2:3:4 with yerrorbars pointtype 9 pointsize 0.35 linewidth 0.8 linecolor rgb '#4f9d8e' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.96471
set bmargin at screen 0.17111; set tmargin at screen 0.46824
set object rectangle from screen 0.16471, screen 0.47336 to screen 0.36471, screen 0.48668 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.36471, screen 0.47336 to screen 0.46471, screen 0.48668 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.46471, screen 0.47336 to screen 0.66471, screen 0.48668 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.66471, screen 0.47336 to screen 0.76471, screen 0.48668 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.76471, screen 0.47336 to screen 0.86471, screen 0.48668 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.86471, screen 0.47336 to screen 0.96471, screen 0.48668 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label '' at screen 0.17412, screen 0.50922 left point pointtype 7 pointsize 0.5 linecolor rgb '#0b3c6f'
set label 'Q' at screen 0.19294, screen 0.50922 left 
set label '' at screen 0.24353, screen 0.50922 left point pointtype 5 pointsize 0.5 linecolor rgb '#d1603d'
set label 'K' at screen 0.26235, screen 0.50922 left 
set label '' at screen 0.31294, screen 0.50922 left point pointtype 9 pointsize 0.5 linecolor rgb '#1b7837'
set label 'V' at screen 0.33176, screen 0.50922 left 
set label '' at screen 0.38235, screen 0.50922 left point pointtype 11 pointsize 0.5 linecolor rgb '#74c07a'
set label 'O' at screen 0.40118, screen 0.50922 left 
set label '' at screen 0.45176, screen 0.50922 left point pointtype 13 pointsize 0.5 linecolor rgb '#5e3c99'
set label 'MLP gate' at screen 0.47059, screen 0.50922 left 
set label '' at screen 0.64471, screen 0.50922 left point pointtype 8 pointsize 0.5 linecolor rgb '#9b7fc4'
set label 'up' at screen 0.66353, screen 0.50922 left 
set label '' at screen 0.73176, screen 0.50922 left point pointtype 10 pointsize 0.5 linecolor rgb '#cbb8e0'
set label 'down' at screen 0.75059, screen 0.50922 left 
set label 'relative drift' at screen 0.03529, screen 0.31967 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set label 'layer' at screen 0.56471, screen 0.09939 center 
set yrange [-0.012:0.4]
unset mytics; set ytics 0.1; set format y '%g'
plot data index 4 using 1:2 with linespoints pointtype 7 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#0b3c6f' notitle \
   , data index 5 using 1:2 with linespoints pointtype 5 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#d1603d' notitle \
   , data index 6 using 1:2 with linespoints pointtype 9 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#1b7837' notitle \
   , data index 7 using 1:2 with linespoints pointtype 11 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#74c07a' notitle \
   , data index 8 using 1:2 with linespoints pointtype 13 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#5e3c99' notitle \
   , data index 9 using 1:2 with linespoints pointtype 8 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#9b7fc4' notitle \
   , data index 10 using 1:2 with linespoints pointtype 10 pointsize 0.35 pointinterval 1 linewidth 0.8 linecolor rgb '#cbb8e0' notitle \


unset multiplot
unset output
if (tex) { set print 'drift-by-layer.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{drift-by-layer-inc}\endgroup'; set print }
