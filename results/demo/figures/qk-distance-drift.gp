# Drift of the routing form over token distance per layer
# Draws qk-distance-drift.pdf from qk-distance-drift.dat; another format: gnuplot -e "format='svg'" qk-distance-drift.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 5.93cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 5.93cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 224 name 'qk_distance_drift' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 700 background '#ffffff'
}
data = 'qk-distance-drift.dat'
set output tex ? 'qk-distance-drift-inc.tex' : 'qk-distance-drift.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.82941
set bmargin at screen 0.16020; set tmargin at screen 0.83474
set label 'sft against base' at screen 0.01765, screen 0.95110 left 
set arrow from screen 0.01765, screen 0.88702 to screen 0.08824, screen 0.88702 nohead linewidth 1.2 dashtype 1 linecolor rgb '#333333'
set label 'full attention' at screen 0.10000, screen 0.88702 left 
set arrow from screen 0.35176, screen 0.88702 to screen 0.42235, screen 0.88702 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#333333'
set label 'linear' at screen 0.43412, screen 0.88702 left 
set label 'layer' at screen 0.85882, screen 0.81788 left 
set arrow from screen 0.85882, screen 0.76223 to screen 0.91765, screen 0.76223 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#440154'
set label '0' at screen 0.92941, screen 0.76223 left 
set arrow from screen 0.85882, screen 0.70658 to screen 0.91765, screen 0.70658 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#472b79'
set label '1' at screen 0.92941, screen 0.70658 left 
set arrow from screen 0.85882, screen 0.65093 to screen 0.91765, screen 0.65093 nohead linewidth 1.2 dashtype 1 linecolor rgb '#3c4f8a'
set label '2' at screen 0.92941, screen 0.65093 left 
set arrow from screen 0.85882, screen 0.59528 to screen 0.91765, screen 0.59528 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#2d6e8e'
set label '3' at screen 0.92941, screen 0.59528 left 
set arrow from screen 0.85882, screen 0.53963 to screen 0.91765, screen 0.53963 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#228c8d'
set label '4' at screen 0.92941, screen 0.53963 left 
set arrow from screen 0.85882, screen 0.48398 to screen 0.91765, screen 0.48398 nohead linewidth 1.2 dashtype 1 linecolor rgb '#26a983'
set label '5' at screen 0.92941, screen 0.48398 left 
set arrow from screen 0.85882, screen 0.42833 to screen 0.91765, screen 0.42833 nohead linewidth 1.2 dashtype (5,3) linecolor rgb '#53c368'
set label '6' at screen 0.92941, screen 0.42833 left 
set arrow from screen 0.85882, screen 0.37268 to screen 0.91765, screen 0.37268 nohead linewidth 1.2 dashtype 1 linecolor rgb '#9ad83c'
set label '7' at screen 0.92941, screen 0.37268 left 
set label (tex ? 'drift of routing $\|\Delta M_\tau \| / \|M_\tau \|$' : 'drift of routing ‖ΔM_τ‖ / ‖M_τ‖') at screen 0.03529, screen 0.49747 center rotate by 90
set label (tex ? 'distance $\tau $ (tokens)' : 'distance τ (tokens)') at screen 0.49706, screen 0.04216 center 
set logscale x 2; set xrange [0.4:20480]; unset mxtics
set xtics ('0' 0.5, '1' 1, '4' 4, '16' 16, '64' 64, '256' 256, '1k' 1024, '4k' 4096, '16k' 16384)
set yrange [0:0.5]
unset mytics; set ytics 0.1; set format y '%g'
plot data index 0 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#440154' notitle \
   , data index 1 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#472b79' notitle \
   , data index 2 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#3c4f8a' notitle \
   , data index 3 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#2d6e8e' notitle \
   , data index 4 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#228c8d' notitle \
   , data index 5 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#26a983' notitle \
   , data index 6 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#53c368' notitle \
   , data index 7 using 1:3:4 with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb '#9ad83c' notitle \
   , data index 0 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#440154' notitle \
   , data index 0 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#440154' notitle \
   , data index 1 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#472b79' notitle \
   , data index 1 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#472b79' notitle \
   , data index 2 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#3c4f8a' notitle \
   , data index 2 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#3c4f8a' notitle \
   , data index 3 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#2d6e8e' notitle \
   , data index 3 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#2d6e8e' notitle \
   , data index 4 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#228c8d' notitle \
   , data index 4 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#228c8d' notitle \
   , data index 5 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#26a983' notitle \
   , data index 5 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#26a983' notitle \
   , data index 6 using 1:2 with lines linewidth 1.2 dashtype (5,3) linecolor rgb '#53c368' notitle \
   , data index 6 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#53c368' notitle \
   , data index 7 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#9ad83c' notitle \
   , data index 7 every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 linecolor rgb '#9ad83c' notitle \


unset multiplot
unset output
if (tex) { set print 'qk-distance-drift.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{qk-distance-drift-inc}\endgroup'; set print }
