# Relative drift of every head against the rounding floor of its storage type
# Draws noise-floor.pdf from noise-floor.dat; another format: gnuplot -e "format='svg'" noise-floor.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 6.2cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 6.2cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 234 name 'noise_floor' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 2.00 size 1004, 732 background '#ffffff'
}
data = 'noise-floor.dat'
set output tex ? 'noise-floor-inc.tex' : 'noise-floor.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.16471; set rmargin at screen 0.50882
set bmargin at screen 0.27419; set tmargin at screen 0.79032
set label 'sft against base' at screen 0.01765, screen 0.95323 left 
set arrow from screen 0.01765, screen 0.89194 to screen 0.06706, screen 0.89194 nohead linewidth 1 dashtype 1 linecolor rgb '#555555'
set label 'rounding floor' at screen 0.07647, screen 0.89194 left 
set arrow from screen 0.34706, screen 0.89194 to screen 0.39647, screen 0.89194 nohead linewidth 1 dashtype (6,3) linecolor rgb '#555555'
set label (tex ? '3 $\times$ rounding floor' : '3 × rounding floor') at screen 0.40588, screen 0.89194 left 
set label (tex ? 'queries  $W_Q$' : 'queries  W_Q') at screen 0.16471, screen 0.82581 left 
set label 'rounding floor' at screen 0.33676, screen 0.16129 center 
set label 'relative drift of a head' at screen 0.03529, screen 0.53226 center rotate by 90
set label (tex ? '0 of 48 within 3 $\times$ floor' : '0 of 48 within 3 × floor') at screen 0.12353, screen 0.08871 left 
set xrange [0.001:0.005]
set logscale x 10; set mxtics 10
set format x '%g'; set xtics add (0.001, 0.002, 0.005)
set yrange [0.002:0.5]
set logscale y 10; set mytics 10
set ytics 10; set format y (tex ? '$10^{%L}$' : '10^{%L}')
plot x with lines linewidth 0.8 linecolor rgb '#555555' notitle \
   , 3*x with lines linewidth 0.8 dashtype (6,3) linecolor rgb '#555555' notitle \
   , data index 0 using 1:2 with points pointtype 7 pointsize 0.35 linecolor rgb '#0b3c6f' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.60882; set rmargin at screen 0.95294
set bmargin at screen 0.27419; set tmargin at screen 0.79032
set label (tex ? 'keys  $W_K$' : 'keys  W_K') at screen 0.60882, screen 0.82581 left 
set label 'rounding floor' at screen 0.78088, screen 0.16129 center 
set label (tex ? '0 of 39 within 3 $\times$ floor' : '0 of 39 within 3 × floor') at screen 0.56765, screen 0.08871 left 
set xrange [0.001:0.005]
set logscale x 10; set mxtics 10
set format x '%g'; set xtics add (0.001, 0.002, 0.005)
set yrange [0.002:0.5]
set logscale y 10; set mytics 10
set ytics 10; set format y (tex ? '$10^{%L}$' : '10^{%L}')
set format y ''
plot x with lines linewidth 0.8 linecolor rgb '#555555' notitle \
   , 3*x with lines linewidth 0.8 dashtype (6,3) linecolor rgb '#555555' notitle \
   , data index 1 using 1:2 with points pointtype 7 pointsize 0.35 linecolor rgb '#d1603d' notitle \


unset multiplot
unset output
if (tex) { set print 'noise-floor.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{noise-floor-inc}\endgroup'; set print }
