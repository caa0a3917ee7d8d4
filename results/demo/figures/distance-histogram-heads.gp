# Attention by distance of the heads that moved most, every checkpoint in one picture
# Draws distance-histogram-heads.pdf from distance-histogram-heads.dat; another format: gnuplot -e "format='svg'" distance-histogram-heads.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 10.07cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 10.07cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 381 name 'distance_histogram_heads' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 4.17 size 1004, 1189 background '#ffffff'
}
data = 'distance-histogram-heads.dat'
set output tex ? 'distance-histogram-heads-inc.tex' : 'distance-histogram-heads.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
if (format eq 'svg') { set xtics offset 0, 0.4 }
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.75968; set tmargin at screen 0.91857
set arrow from screen 0.01765, screen 0.97219 to screen 0.07647, screen 0.97219 nohead linewidth 0.9 dashtype (6,4) linecolor rgb '#303030'
set label 'base' at screen 0.08588, screen 0.97219 left 
set arrow from screen 0.34314, screen 0.97219 to screen 0.40196, screen 0.97219 nohead linewidth 1.2 dashtype 1 linecolor rgb '#d55e00'
set label 'sft' at screen 0.41137, screen 0.97219 left 
set label 'attention per bin' at screen 0.02588, screen 0.54717 center rotate by 90
set label 'distance in tokens, lower end of bin' at screen 0.54412, screen 0.07249 center 
set label 'layer.head: shift of mean log2 distance, largest first' at screen 0.01765, screen 0.01986 left textcolor rgb '#777777'
set label (tex ? '5.3:  $-$0.53' : '5.3:  −0.53') at screen 0.12941, screen 0.93644 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 0 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 1 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.75968; set tmargin at screen 0.91857
set label '5.0:  +0.15' at screen 0.41569, screen 0.93644 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 2 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 3 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.75968; set tmargin at screen 0.91857
set label (tex ? '5.4:  $-$0.14' : '5.4:  −0.14') at screen 0.70196, screen 0.93644 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 4 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 5 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.55313; set tmargin at screen 0.71202
set label '7.0:  +0.12' at screen 0.12941, screen 0.72989 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 6 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 7 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.55313; set tmargin at screen 0.71202
set label '7.5:  +0.11' at screen 0.41569, screen 0.72989 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 8 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 9 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.55313; set tmargin at screen 0.71202
set label '7.4:  +0.09' at screen 0.70196, screen 0.72989 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 10 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 11 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.34657; set tmargin at screen 0.50546
set label '5.2:  +0.08' at screen 0.12941, screen 0.52334 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 12 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 13 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.34657; set tmargin at screen 0.50546
set label '5.5:  +0.06' at screen 0.41569, screen 0.52334 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 14 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 15 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.34657; set tmargin at screen 0.50546
set label '7.1:  +0.06' at screen 0.70196, screen 0.52334 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 16 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 17 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.14002; set tmargin at screen 0.29891
set label '5.1:  +0.05' at screen 0.12941, screen 0.31678 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 18 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 19 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.14002; set tmargin at screen 0.29891
set label '7.3:  +0.04' at screen 0.41569, screen 0.31678 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 20 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 21 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.14002; set tmargin at screen 0.29891
set label '7.2:  +0.02' at screen 0.70196, screen 0.31678 left 
set yrange [0:0.6]
unset mytics; set ytics 0.5; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 22 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 23 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset multiplot
unset output
if (tex) { set print 'distance-histogram-heads.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{distance-histogram-heads-inc}\endgroup'; set print }
